"""Fingerprints of a network's intermediate tensors: enough to recognise each of them inside an artifact, without torch.

"The converted model answers differently: which layer starts it?" needs the reference's intermediate tensors, which are
far too large to ship. Kept instead, for a few inputs and every module of the network, are statistics that no
permutation of axes changes (an artifact may be channels-last), and two numbers per channel. Each of them moves by at
most as much as the tensor's elements do (all are 1-Lipschitz in the largest element error), so the distance between two
fingerprints is a lower bound of the largest error. ``noise`` is the distance that float32 eager keeps from float64
eager: the yardstick of parity, layer by layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import ArtifactError
from export.eager.copies import independent_copy
from export.eager.reference_mode import reference_mode
from export.stimuli import Array, Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

Ints = NDArray[np.int64]

PREFIX = "fingerprint_"
FINGERPRINTED = (0, 11)
"""Positions among the samples: a spectral image, one of dead leaves. They placed 12 of 12 corrupted weights of XXS."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Chosen, because they tell distributions apart whose extremes and moments agree."""
MOST_CHANNELS = 4096
"""Chosen, because no channel axis of a mobile network is longer: a longer axis holds positions, and costs too much."""
_STORED = {
    "inputs": ("iu", 1), "modules": ("U", 1), "counts": ("iu", 1), "channels": ("iu", 1), "noise": ("f", 2),
    "stats": ("f", 3), "marginals": ("f", 3),
}  # fmt: skip
"""Kinds of type and number of axes of each array in a file."""
ROOT = "(output)"  # what the whole network hands out


@dataclass(frozen=True)
class TraceFingerprint:
    """Fingerprints of M modules' outputs over I inputs, in execution order; equal tensors are kept once.

    Attributes:
        inputs: ``(I,)`` positions of the fingerprinted inputs in the golden set.
        modules: ``(M,)`` paths in the network, e.g. ``blocks3.1.attn.qkv``; a second call ends with ``#2``, a further
            element of a tuple output with ``[1]``.
        counts: ``(M,)`` elements for one sample.
        channels: ``(M,)`` length of the channel axis; 0 where none was kept.
        noise: ``(M, I)`` distance of float32 eager from float64 eager.
        stats: ``(M, I, 11)`` see ``statistics``.
        marginals: ``(I, 2, sum(channels))`` mean and root mean square of every channel.
    """

    inputs: Ints
    modules: NDArray[np.str_]
    counts: Ints
    channels: Ints
    noise: Floats
    stats: Floats
    marginals: Floats

    def to_arrays(self) -> dict[str, Array]:
        """The arrays under the names that they have in a golden set's ``.npz``."""
        return {PREFIX + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> TraceFingerprint | None:
        """Read the fingerprint back; None if ``arrays`` holds none.

        Raises:
            ArtifactError: Some of its arrays are missing, or their sizes contradict one another.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if PREFIX + name not in arrays]
        if len(missing) == len(names):
            return None
        if missing:
            raise ArtifactError(
                f"golden set: fingerprint arrays {', '.join(PREFIX + name for name in missing)} missing"
            )
        for name in names:
            array, (kinds, axes) = arrays[PREFIX + name], _STORED[name]
            if array.dtype.kind not in kinds or array.ndim != axes:
                raise ArtifactError(f"golden set: {PREFIX}{name} holds {array.dtype} of the shape {array.shape}")
        found = cls(**{name: arrays[PREFIX + name] for name in names})  # type: ignore[arg-type]
        found._check_sizes()
        return found

    def module_marginals(self, module: int, row: int) -> Floats:
        """``(2, channels[module])`` for input ``row``."""
        end = int(self.channels[: module + 1].sum())
        part: Floats = self.marginals[row, :, end - int(self.channels[module]) : end]
        return part

    def _check_sizes(self) -> None:
        if np.any((self.channels < 0) | (self.channels > MOST_CHANNELS)):
            raise ArtifactError(f"golden set: {PREFIX}channels holds other than 0 to {MOST_CHANNELS}")
        modules, rows = len(self.modules), len(self.inputs)
        expected = {
            "counts": (modules,),
            "channels": (modules,),
            "noise": (modules, rows),
            "stats": (modules, rows, 6 + len(QUANTILES)),
            "marginals": (rows, 2, int(self.channels.sum())),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ArtifactError(f"golden set: {PREFIX}{name} must be {shape}, but is {getattr(self, name).shape}")


def statistics(values: Array) -> Floats:
    """Mean, deviation, mean magnitude, root mean square, smallest, largest, five quantiles of any shape: ``(11,)``.

    Quantiles are elements of the data, so that repeating all samples changes nothing: those of ``np.quantile`` by the
    method ``inverted_cdf``, by a whole sort, which takes a seventh of the time of its partition.
    """
    flat = np.asarray(values, np.float64).ravel()
    magnitude = np.abs(flat)
    scalars = (flat.mean(), flat.std(), magnitude.mean(), np.sqrt(np.mean(flat**2)), flat.min(), flat.max())
    ranked = np.sort(flat)
    ranks = np.ceil(flat.size * np.array(QUANTILES) - 1).astype(np.int64).clip(min=0)
    quantiles = np.full(len(QUANTILES), np.nan) if np.isnan(ranked[-1]) else ranked[ranks]
    return np.concatenate([scalars, quantiles])


def marginals(values: Array, axis: int) -> Floats:
    """``(2, size of axis)``: mean and root mean square over all other axes."""
    rows = np.moveaxis(np.asarray(values, np.float64), axis, 0).reshape(values.shape[axis], -1)
    return np.stack([rows.mean(axis=1), np.sqrt(np.mean(rows**2, axis=1))])


def fingerprint(
    model: nn.Module, inputs: Sequence[Array], indices: Sequence[int], *, batch: int = 1
) -> TraceFingerprint:
    """Fingerprint the outputs of all modules of ``model`` (leaves and blocks alike).

    Args:
        model: The reference network in float32; it is copied, never changed.
        inputs: One array ``(count, ...)`` per forward argument.
        indices: Which of the ``count`` inputs to take; each costs one float64 and one float32 inference.
        batch: How often each sample is repeated, for models that take one batch size only.
    """
    import torch

    exact, rounded = Traces(indices, batch), Traces(indices, batch)
    double, single = independent_copy(model).double(), independent_copy(model)
    for index in indices:
        samples = [torch.from_numpy(np.ascontiguousarray(array[[index] * batch])) for array in inputs]
        wide = [tensor.double() if tensor.is_floating_point() else tensor.clone() for tensor in samples]
        for traces, network, arguments in ((exact, double, wide), (rounded, single, samples)):
            with reference_mode(double=network is double), traces.taken(network, index):
                network(*arguments)
    return exact.beside(rounded)


class Traces:
    """Fingerprints of a network's layers on chosen inputs, taken while it runs on them.

    Args:
        indices: Positions of the chosen inputs, each of which gets run once.
        batch: How many samples a run has.
    """

    def __init__(self, indices: Sequence[int], batch: int = 1) -> None:
        self._batch, self._layers = batch, {index: list[_Layer]() for index in indices}

    @contextmanager
    def taken(self, model: nn.Module, index: int) -> Iterator[None]:
        """Record what ``model`` does in the block if ``index``, the input that it runs on there, is a chosen one."""
        with ExitStack() as hooks:
            if index in self._layers:
                record = partial(_record, self._layers[index], Counter(), self._batch)
                for path, module in model.named_modules():
                    hooks.callback(module.register_forward_hook(partial(record, path or ROOT)).remove)
            yield

    def beside(self, rounded: Traces) -> TraceFingerprint:
        """The fingerprint of float64, with the distance to the ``rounded`` ones of float32 as its noise."""
        pairs = zip(self._layers.values(), rounded._layers.values(), strict=True)
        noises = [[a.distance(b) for a, b in zip(*pair, strict=True)] for pair in pairs]
        indices = np.asarray([*self._layers], np.int64)
        return _assemble(indices, [*self._layers.values()], np.array(noises, np.float64).T)


@dataclass(frozen=True)
class _Layer:
    """One tensor of one inference: ``stats`` is (11,), ``marginals`` (2, channels)."""

    name: str
    count: int
    stats: Floats
    marginals: Floats

    def distance(self, other: _Layer) -> float:
        """A lower bound of the largest difference between elements of the two tensors."""
        channels = np.abs(self.marginals - other.marginals).max(initial=0.0)
        return float(max(np.abs(self.stats - other.stats).max(), channels))


def _record(
    layers: list[_Layer], calls: Counter[str], batch: int, path: str, module: nn.Module, _: object, output: object
) -> None:
    """A forward hook: append what ``module`` hands out to ``layers``."""
    import torch
    from torch.utils._pytree import tree_leaves

    calls[path] += 1
    name = path if calls[path] == 1 else f"{path}#{calls[path]}"
    for position, result in enumerate(tree_leaves(output)):
        if isinstance(result, torch.Tensor) and result.is_floating_point() and result.numel():
            with np.errstate(invalid="ignore", over="ignore"):  # NaN and Inf are judged where they reach the answer
                layers.append(_layer(name if position == 0 else f"{name}[{position}]", result, module, batch))


def _layer(name: str, tensor: Tensor, module: nn.Module, batch: int) -> _Layer:
    """Of ``tensor``, ``(batch, ...)``: tokens and what linear layers and layer norms give have their channels last."""
    from torch import nn

    values = tensor.detach().cpu().double().numpy()
    channels_last = values.ndim == 3 or isinstance(module, nn.Linear | nn.LayerNorm)
    axis = values.ndim - 1 if channels_last else 1
    keep = values.ndim >= 2 and values.shape[axis] <= MOST_CHANNELS
    per_channel = marginals(values, axis) if keep else np.zeros((2, 0))
    return _Layer(name, values.size // batch, statistics(values), per_channel)


def _assemble(inputs: Ints, traces: list[list[_Layer]], noise: Floats) -> TraceFingerprint:
    """``traces`` holds I inferences of the same layers; ``noise`` is (layers, I)."""
    keep = _first_of_equals(traces[0])
    kept = [[layers[position] for position in keep] for layers in traces]
    return TraceFingerprint(
        inputs=inputs,
        modules=np.array([layer.name for layer in kept[0]], np.str_),
        counts=np.array([layer.count for layer in kept[0]], np.int64),
        channels=np.array([layer.marginals.shape[1] for layer in kept[0]], np.int64),
        noise=noise[keep],
        stats=np.stack([[layer.stats for layer in layers] for layers in kept], axis=1),
        marginals=np.stack([np.concatenate([layer.marginals for layer in layers], axis=1) for layers in kept]),
    )


def _first_of_equals(layers: list[_Layer]) -> list[int]:
    """Positions of the layers whose output is not that of an earlier one: a block ends with its last leaf's tensor."""
    seen: set[tuple[int, bytes]] = set()
    keep = []
    for position, layer in enumerate(layers):
        key = (layer.count, layer.stats.tobytes())
        if key not in seen:
            seen.add(key)
            keep.append(position)
    return keep


FINGERPRINT_KEYS = frozenset(PREFIX + field.name for field in fields(TraceFingerprint))
"""Its arrays' names in a golden set."""
