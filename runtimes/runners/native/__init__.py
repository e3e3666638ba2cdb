"""The native runner: where it and its runtimes' libraries come from, where they are kept, and how it is started."""
