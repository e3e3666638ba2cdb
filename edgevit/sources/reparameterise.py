"""Branches of training joined to what inference needs, where a network offers it: RepVGG, MobileOne, FastViT, RepViT.

timm's ``reparameterize_model`` calls what the layers have for it (``fuse``, ``reparameterize``, ``switch_to_deploy``).
What comes out is taken only where it answers as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgevit.sources.results import named_tensors
from edgevit.sources.spec_for import run

if TYPE_CHECKING:
    from torch import Tensor, nn

_OFFERS = ("fuse", "reparameterize", "switch_to_deploy")
SAME = 1e-3
"""Relative to the largest value: rounding of float32 through a hundred layers is below it (9e-6 seen), a lost branch
is not."""


def reparameterised(model: nn.Module, example: Sequence[Tensor]) -> tuple[nn.Module, str]:
    """``model`` joined, and by what; the same model and an empty text where it offers nothing, or answers otherwise."""
    from timm.utils.model import reparameterize_model

    offered = sorted({word for module in model.modules() for word in _OFFERS if hasattr(module, word)})
    if not offered:
        return model, ""
    before = named_tensors(run(model, example), "output")
    try:
        joined: nn.Module = reparameterize_model(model)
        after = named_tensors(run(joined, example), "output")
    except Exception:  # a layer of timm's that cannot join itself: the network is whole without it
        return model, ""
    if _kinds(joined) == _kinds(model) or not all(
        _same(one, other) for (_, one), (_, other) in zip(before, after, strict=True)
    ):
        return model, ""
    return joined.requires_grad_(False).eval(), "yes"


def _kinds(model: nn.Module) -> list[tuple[str, type]]:
    return [(name, type(module)) for name, module in model.named_modules()]


def _same(one: Tensor, other: Tensor) -> bool:
    scale = float(one.abs().max())
    return one.shape == other.shape and float((one - other).abs().max()) <= SAME * max(scale, 1e-30)
