"""From calls that write into tensors to calls that make new ones: who shares memory, and the rewrite."""
