"""Verdicts on artifacts: audit, parity, consistency."""
