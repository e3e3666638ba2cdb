"""Energy per inference from power traces."""
