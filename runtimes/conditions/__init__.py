"""The conditions of a measurement: state, hygiene, lock, and the journal that brings everything back."""
