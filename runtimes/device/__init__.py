"""Devices: transport over ADB or this host, state and hygiene, runners and adapters for the runtimes' own tools."""
