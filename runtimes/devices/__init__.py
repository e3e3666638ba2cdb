"""Devices: where artifacts are measured, over ADB or on this machine."""
