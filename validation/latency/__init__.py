"""Verdicts on latencies, and their comparison."""
