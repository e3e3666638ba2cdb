"""One hash for all tensors of a network, to tell weights that came from no file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from edgevit.errors import UsageError
from edgevit.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn


def weights_sha256(model: nn.Module) -> str:
    """Hex SHA-256 of the names, types, shapes and bytes in ``model.state_dict()``, in the order of names."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):  # what ``get_extra_state`` gave
            continue
        kept = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {kept.dtype} {tuple(kept.shape)}\n".encode())
        digest.update(kept.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def refuse_other_weights(model: nn.Module, spec: ModelSpec) -> None:
    """Refuse to say of a module's weights that they are those that it had when ``spec`` was made.

    Raises:
        UsageError: ``spec`` tells the weights by their hash alone, and ``model`` has others.
    """
    wanted = spec.weights.sha256
    if spec.weights.source != "module" or wanted is None or (seen := weights_sha256(model)) == wanted:
        return
    raise UsageError(
        f"the weights have the SHA-256 {seen[:12]}..., those that the spec of {spec.name} speaks of {wanted[:12]}...: "
        "they were changed since, or it is the spec of another network",
        hint="spec = spec_for(model, example), after the last change of the weights",
    )
