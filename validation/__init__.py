"""Verdicts from records: parity, operator audit, latency statistics, energy segmentation, reports."""
