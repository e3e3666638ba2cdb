"""Sessions: an artifact opened in its own runtime on this machine."""
