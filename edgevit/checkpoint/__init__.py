"""Weights from files: read without running code from them, and checked against the model asked for."""
