"""Power meters behind one interface: Monsoon HVPM, battery gauge, power rails, INA sensors, RAPL, CSV import."""
