"""The measuring engine: plan, execute, record."""
