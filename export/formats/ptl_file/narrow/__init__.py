"""Weights of a ``.ptl`` file in int8 and half precision."""
