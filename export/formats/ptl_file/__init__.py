"""TorchScript lite."""
