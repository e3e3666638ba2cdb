"""The formats: one table, and a folder for each with what writes a file and what reads it back."""
