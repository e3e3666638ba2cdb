"""Calls that a converter or runtime does not have, or gets wrong, in calls that it has: the same function."""
