"""A small EdgeViT for tests that need weights but not a size."""

from __future__ import annotations

from edgevit.network.variants import VariantConfig


def tiny() -> VariantConfig:
    """Four stages of one block each, 8 to 32 channels."""
    return VariantConfig(name="tiny", channels=(8, 16, 24, 32), blocks=(1, 1, 1, 1), heads=(1, 2, 3, 4))
