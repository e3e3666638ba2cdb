"""A copy of the user's module to run and capture: the module itself stays as it is, whatever hangs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevit.copies import deep_copy, refuse_weights_not_there
from export.eager.results import tensors_of

if TYPE_CHECKING:
    from torch import nn


def independent_copy(model: nn.Module) -> nn.Module:
    """``model`` on the CPU, in eval mode, without gradients, and returning a flat tuple of tensors.

    Raises:
        ExportError: Parameters without shape or values, or sparse ones, or what cannot be copied; names them.
    """
    import torch

    model = getattr(model, "_orig_mod", model)  # of ``torch.compile``, whose kernels add up in an order of their own
    refuse_weights_not_there(model)
    with torch.no_grad():
        copied = deep_copy(model).to("cpu").eval().requires_grad_(False)
    copied.register_forward_hook(lambda module, given, result: tensors_of(result))
    return copied
