"""Weights from a file, checked against the model that was asked for.

Weights are float32 in the model. A checkpoint in half precision is widened, which changes no value; one in double
precision is rounded. Either is said in ``Weights.stored_dtype``, and so on console, manifest and report. Integer,
complex, quantised and sparse weights are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.checkpoint.entries import ANCHOR, find_weights
from edgevit.checkpoint.file import read_content
from edgevit.checkpoint.fit import (
    changed_form,
    differences,
    first_names,
    fitting_request,
    flags,
    in_words,
    measures,
    shapes_of,
    without_head,
)
from edgevit.errors import CheckpointError
from edgevit.network.describe import IMAGENET_CLASSES, ModelRequest
from edgevit.network.variants import VariantConfig
from edgevit.records import sha256_file
from edgevit.spec import Weights
from edgevit.text import printable

if TYPE_CHECKING:
    from torch import Tensor

    from edgevit.network.model import EdgeViT

_OWN = "edgevit-export models, or --config with a configuration of your own"
FLOAT_TYPES = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Checkpoint:
    """A weights file that was read: its tensors by the network's own names and where they came from."""

    path: Path
    weights: Weights
    tensors: dict[str, Tensor]

    def classes(self, asked: int | None) -> int:
        """Number of classes: the rows of the head.

        Raises:
            CheckpointError: ``asked`` is another number.
        """
        return self._agreed("number of classes", "head.weight", 0, asked) or IMAGENET_CLASSES

    def input_channels(self, asked: int | None) -> int:
        """Number of input channels: those of the first convolution.

        Raises:
            CheckpointError: ``asked`` is another number.
        """
        return self._agreed("number of input channels", "patch_embed1.proj.weight", 1, asked) or 3

    def _agreed(self, what: str, name: str, axis: int, asked: int | None) -> int | None:
        """The length of one axis of one tensor; ``asked`` where the file has no such tensor."""
        tensor = self.tensors.get(name)
        if tensor is None or tensor.dim() <= axis or tensor.shape[axis] == 0:
            return asked
        found = int(tensor.shape[axis])
        if asked is not None and asked != found:
            raise CheckpointError(
                f"checkpoint {self.path} has {name} of shape {tuple(tensor.shape)}: the {what} is {found}, "
                f"but {asked} was asked for",
                hint=f"leave the {what} out to take it from the checkpoint",
            )
        return found

    def state_for(self, request: ModelRequest, model: EdgeViT) -> dict[str, Tensor]:
        """The state dict for ``model``: its own names and shapes, float32 (counters: int64), every value finite.

        Raises:
            CheckpointError: Tensors are missing, unexpected, of another shape or type, or hold NaN or Inf; or
                a variance is negative.
        """
        import torch

        expected = shapes_of(model.state_dict())
        kept = {name: self.tensors[name] for name in without_head(self.tensors, request.task)}
        if found := differences(expected, shapes_of(kept)):
            raise self._misfit(request, found)
        counters = {
            name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith("num_batches_tracked")
        }
        return counters | {name: self.float32(name, kept[name]) for name in expected if name not in counters}

    def _misfit(self, request: ModelRequest, found: str) -> CheckpointError:
        """The error for tensors of another model, with the model that they fit."""
        message = f"checkpoint {self.path} does not fit {in_words(request.config)} ({request.task}): {found}"
        if form := changed_form(without_head(self.tensors, request.task)):
            return CheckpointError(
                f"{message}. It holds {form[0]}, expected plain weights",
                hint=f"in the training code, before the state dict is saved: {form[1]}",
            )
        other = fitting_request(request, shapes_of(self.tensors))
        if other is None:
            return CheckpointError(f"{message}. It fits no known variant: {self._measured()}", hint=_OWN)
        task = "" if other.task is request.task else f", task {other.task}"
        head = first_names([name for name in self.tensors if name.startswith("head.")]) if task else ""
        left = f", which leaves out its head: {head}" if head else ""
        return CheckpointError(f"{message}. It fits {in_words(other.config)}{task}{left}", hint=flags(other, request))

    def _measured(self) -> str:
        """What network the tensors are of, as far as they tell."""
        if ANCHOR not in self.tensors:
            return f"every EdgeViT has {ANCHOR}, this file has {first_names(list(self.tensors))}"
        widths, blocks = measures(shapes_of(self.tensors))
        return f"its stages have channels {widths} and blocks {blocks}"

    def float32(self, name: str, tensor: Tensor) -> Tensor:
        """One tensor of any shape as dense, contiguous, finite float32 of the same shape."""
        import torch

        if tensor.layout is not torch.strided or _dtype(tensor) not in FLOAT_TYPES:
            kind = f"{str(tensor.layout).removeprefix('torch.')} {_dtype(tensor)}"
            raise CheckpointError(
                f"checkpoint {self.path}: {name} is {kind}, expected dense {' or '.join(FLOAT_TYPES)}"
            )
        converted = tensor.detach().to(torch.float32).contiguous()
        bad = int((~torch.isfinite(converted)).sum())
        if bad:
            raise CheckpointError(
                f"checkpoint {self.path}: {name} holds NaN or Inf in {bad} of {converted.numel()} values",
                hint="take an earlier checkpoint: this training has diverged or the file is damaged",
            )
        if name.endswith("running_var") and bool((converted < 0).any()):
            raise CheckpointError(
                f"checkpoint {self.path}: {name} holds {float(converted.min()):.3g}, and a variance is never negative",
                hint="the file is damaged, or its values were changed by what does not know what they are",
            )
        return converted


def _dtype(tensor: Tensor) -> str:
    """The element type without ``torch.``, e.g. ``float16``."""
    return str(tensor.dtype).removeprefix("torch.")


def _stored_dtype(tensors: dict[str, Tensor]) -> str | None:
    """The floating types other than float32 in which the file keeps weights, or None."""
    found = {_dtype(tensor) for tensor in tensors.values() if tensor.is_floating_point()} - {"float32"}
    return ", ".join(sorted(found)) or None


def read_checkpoint(path: Path | str, *, entry: str | None = None, config: VariantConfig | None = None) -> Checkpoint:
    """Read a weights file; see ``edgevit.checkpoint.entries`` for what it may be.

    Args:
        path: The file.
        entry: Which of its weights to take; None finds out.
        config: The network that they are for.

    Raises:
        CheckpointError: The file cannot be used.
    """
    path = Path(path)
    found = find_weights(path, read_content(path), entry, config)
    weights = Weights(
        source="checkpoint",
        file=printable(path.name),
        sha256=sha256_file(path),
        entry=found.entry,
        prefix=found.prefix,
        beside=found.beside,
        stored_dtype=_stored_dtype(found.tensors),
    )
    return Checkpoint(path=path, weights=weights, tensors=found.tensors)
