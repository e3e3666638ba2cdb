"""The front door: command line and Python API, the only place where the rooms are wired together."""
