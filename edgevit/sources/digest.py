"""One hash for all tensors of a network, to tell weights that came from no file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

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
