"""Does a state dict fit a model? The differences in words, and the variant that it would have fitted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

import msgspec

from edgevit.network.describe import ModelRequest
from edgevit.network.variants import STAGES, Propagation, VariantConfig, variants
from edgevit.spec import Task

if TYPE_CHECKING:
    from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]
_FORMS = (  # of torch.nn.utils: endings of two names that stand in place of one
    ("_g", "_v", "weight normalisation", "torch.nn.utils.remove_weight_norm(layer)"),
    ("_orig", "_mask", "the masks of pruning", "torch.nn.utils.prune.remove(layer, 'weight')"),
    ("_mask", "", "the masks of pruning", "multiply each weight by its mask, leave the masks out"),
    ("_orig", "_u", "spectral normalisation", "torch.nn.utils.remove_spectral_norm(layer)"),
)
_PARTS = (
    (
        ".parametrizations.",
        "parametrised weights",
        "torch.nn.utils.parametrize.remove_parametrizations(layer, NAME)",
    ),
    ("lora_", "weights of LoRA beside those that they change", "merge them first: merge_and_unload() of peft"),
    ("fake_quant", "observers of training with quantisation", "save the float model's own weights"),
)
_LISTED = 5  # chosen, because more names of one kind say no more about what went wrong


def first_names(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def without_head(names: Iterable[str], task: Task) -> list[str]:
    """The names that matter for ``task``: a features model leaves a classifier's head unused."""
    if task is Task.CLASSIFY:
        return list(names)
    return [name for name in names if not name.startswith(("norm.", "head."))]


def differences(expected: Shapes, seen: Shapes) -> str:
    """How a checkpoint's names and shapes differ from a model's, with the first names of each kind; empty if it fits.

    A missing ``num_batches_tracked`` is no difference: inference never reads it.
    """
    kinds = {
        "missing": [name for name in expected if name not in seen and not name.endswith("num_batches_tracked")],
        "unexpected": [name for name in seen if name not in expected],
        "of another shape": [
            f"{name} is {seen[name]}, expected {shape}"
            for name, shape in expected.items()
            if name in seen and seen[name] != shape
        ],
    }
    return "; ".join(f"{len(names)} {kind}: {first_names(names)}" for kind, names in kinds.items() if names)


def changed_form(names: Iterable[str]) -> tuple[str, str] | None:
    """In which form other than plain weights some tensors are stored, and what makes plain ones of them; else None."""
    held = set(names)
    for ending, other, kind, remedy in _FORMS:
        for name in sorted(held):
            stem = name.removesuffix(ending)
            if name.endswith(ending) and (not other or f"{stem}{other}" in held):
                return f"{kind} ({name}{f', {stem}{other}' if other else ''})", remedy
    for part, kind, remedy in _PARTS:
        if matching := sorted(name for name in held if part in name):
            return f"{kind} ({matching[0]})", remedy
    return None


def measures(seen: Shapes) -> tuple[list[int], list[int]]:
    """The channels of each stage of an EdgeViT, and its number of blocks; 0 where it has none."""
    widths = [seen.get(f"patch_embed{stage}.proj.weight", (0,))[0] for stage in range(1, STAGES + 1)]
    places = [
        {name.split(".")[1] for name in seen if name.startswith(f"blocks{stage}.")} for stage in range(1, STAGES + 1)
    ]
    return widths, [len(found) for found in places]


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def fitting_request(request: ModelRequest, seen: Shapes) -> ModelRequest | None:
    """The nearest request that the tensors fit: this variant with other options first, then the built-in ones."""
    from edgevit.network.model import empty_model

    for candidate in _candidates(request):
        kept = {name: seen[name] for name in without_head(seen, candidate.task)}
        if not differences(shapes_of(empty_model(candidate).state_dict()), kept):
            return candidate
    return None


def _candidates(request: ModelRequest) -> Iterator[ModelRequest]:
    """What else may have been meant, most likely first."""
    configs = [request.config, *variants().values()]
    tasks = [request.task] if request.task is Task.FEATURES else [Task.CLASSIFY, Task.FEATURES]
    for task, propagation, aggregation in product(tasks, Propagation, (True, False)):
        for config in configs:
            changed = config.with_options(
                delegate=request.config.delegate, propagation=propagation, aggregation=aggregation
            )
            classes = request.num_classes if task is Task.CLASSIFY else None
            yield msgspec.structs.replace(request, config=changed, task=task, num_classes=classes)


def flags(request: ModelRequest, asked: ModelRequest) -> str:
    """The command-line flags that turn ``asked`` into ``request``."""
    found: list[str] = []
    if request.config.name != asked.config.name:
        found.append(f"--variant {request.config.name}")
    if request.config.propagation is not asked.config.propagation:
        found.append(f"--propagation {request.config.propagation}")
    if request.config.aggregation is not asked.config.aggregation:
        found.append("--aggregation" if request.config.aggregation else "--no-aggregation")
    if request.task is not asked.task:
        found.append(f"--task {request.task}")
    return " ".join(found)


def in_words(config: VariantConfig) -> str:
    """A configuration as an error message names it."""
    options = ", ".join(f"{name} {value}" for name, value in config.options().items())
    return f"variant {config.name}" + (f" with {options}" if options else "")
