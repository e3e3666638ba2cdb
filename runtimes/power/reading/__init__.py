"""From the bytes of somebody's CSV to numbers under known headings, on a grid of time."""
