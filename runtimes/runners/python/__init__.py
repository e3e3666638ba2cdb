"""The runner for devices with python3, and how it travels there."""
