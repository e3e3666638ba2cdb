"""A weights file into a module that is not ours: the same door as for EdgeViT, and the same strictness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.checkpoint.fit import changed_form, differences, first_names, shapes_of
from edgevit.checkpoint.load import Checkpoint, read_checkpoint
from edgevit.errors import CheckpointError
from edgevit.spec import Weights

if TYPE_CHECKING:
    from torch import Tensor, nn


def read_weights(path: Path | str, entry: str | None) -> Checkpoint:
    """The tensors of a weights file, wrappers before their names taken off.

    Raises:
        CheckpointError: The file cannot be used.
    """
    return read_checkpoint(path, entry=entry)


def fill(model: nn.Module, loaded: Checkpoint, name: str) -> Weights:
    """Put the tensors of a file in place, in ``model`` itself; says where they came from.

    Names may lack what stands before all of the model's own (``backbone.``), or have it before them.

    Raises:
        CheckpointError: Tensors are missing, unexpected, of another shape or type, or hold NaN or Inf.
    """
    expected = model.state_dict()
    tensors = _by_the_models_names(loaded.tensors, expected)
    if found := differences(shapes_of(expected), shapes_of(tensors)):
        raise _misfit(loaded, tensors, name, found)
    model.load_state_dict(
        {key: _converted(loaded, key, tensors[key], like) for key, like in expected.items() if key in tensors},
        strict=False,  # counters of batch norm may be missing, which ``differences`` has seen to
    )
    return loaded.weights


def _by_the_models_names(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors``; with a prefix that all of the model's names share put back where it was taken for a wrapper."""
    prefix = _shared_prefix(expected)
    if prefix and not any(name.startswith(prefix) for name in tensors):
        return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
    return dict(tensors)


def _shared_prefix(names: Mapping[str, object]) -> str:
    """What stands before the first dot of all names, dot included; empty if they differ."""
    firsts = {name.partition(".")[0] for name in names if "." in name}
    return f"{firsts.pop()}." if len(firsts) == 1 and all("." in name for name in names) else ""


def _misfit(loaded: Checkpoint, tensors: Mapping[str, Tensor], name: str, found: str) -> CheckpointError:
    message = f"checkpoint {loaded.path} does not fit {name}: {found}"
    if form := changed_form(list(tensors)):
        return CheckpointError(
            f"{message}. It holds {form[0]}, expected plain weights",
            hint=f"in the training code, before the state dict is saved: {form[1]}",
        )
    return CheckpointError(f"{message}. The file has {first_names(list(tensors))}")


def _converted(loaded: Checkpoint, name: str, tensor: Tensor, like: Tensor) -> Tensor:
    """One tensor in the type of the model's own: floats as of any checkpoint, whole numbers as they are."""
    if like.is_floating_point():
        return loaded.float32(name, tensor).to(like.dtype)
    if tensor.dtype != like.dtype:
        raise CheckpointError(f"checkpoint {loaded.path}: {name} is {tensor.dtype}, expected {like.dtype}")
    return tensor
