"""The workflows that wire the rooms together."""
