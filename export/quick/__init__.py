"""Work that libraries do and nobody looks at, left out: exact, and only beside sources that were read."""
