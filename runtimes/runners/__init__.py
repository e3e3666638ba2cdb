"""Runners: the programs that run an artifact on a device, and what goes in and comes out."""
