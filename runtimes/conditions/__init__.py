"""The conditions of a measurement: state, cores, readiness, lock, and the journal that brings everything back."""
