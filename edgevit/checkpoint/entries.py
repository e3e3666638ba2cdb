"""Find an EdgeViT's weights in what a training script stored.

Scripts keep weights under an entry (``model``, ``state_dict``), several sets of them side by side (``model_ema``, a
teacher), and below the names of whatever wrapped the network: ``module.`` (DDP, SWA), ``_orig_mod.`` (torch.compile),
``model.`` (Lightning), ``backbone.`` (mmdetection), nested at will. The network is found by the one tensor that every
EdgeViT has; what stands before its name is taken off, and what stands beside it is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.checkpoint.fit import measures
from edgevit.checkpoint.inert import Inert
from edgevit.errors import CheckpointError, unknown_choice
from edgevit.network.variants import VariantConfig
from edgevit.shell import quoted
from edgevit.spec import OTHER_WEIGHTS
from edgevit.text import printable

if TYPE_CHECKING:
    from torch import Tensor

ENTRIES = ("model", "model_ema", "state_dict", "state_dict_ema", "model_state_dict", "module")
ANCHOR = "patch_embed1.proj.weight"  # every EdgeViT has it, whatever its task and options
COUNTERS = ("total_ops", "total_params", "n_averaged")  # of thop, and of torch's AveragedModel
AVERAGED = ("ema", "model_ema", "ema_model", "state_dict_ema", "model_state_dict_ema", "swa", "averaged", "ema_state")
_WITHIN = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module|_forward_module)\.")
_WRAPPERS = ("module.", "model.", "net.", "network.", "backbone.", "encoder.")
_EXPANDED = 2**16  # chosen: a buffer of equal values may be stored as one, no weight of this size is
_NAMED = 12  # of what stands beside: chosen, because more of them say no more
_DEEPEST = 4  # mappings within mappings: chosen; scripts that wrap what they were given nest three


@dataclass(frozen=True)
class Found:
    """A set of weights in a file.

    Attributes:
        tensors: By the network's own names, as stored.
        entry: Where in the file they are, as ``--checkpoint-entry`` takes it; None where the file is a state dict.
        prefix: What was taken off all names; None where nothing was.
        beside: What else is in the file, in words.
    """

    tensors: dict[str, Tensor]
    entry: str | None
    prefix: str | None
    beside: tuple[str, ...]


@dataclass(frozen=True)
class _Set:
    """One set of weights: under ``entry``, with names that begin with ``prefix`` in the file; both may be empty.

    ``label`` tells it from all others of the file; that of a bare state dict with one network is empty.
    """

    entry: str
    prefix: str
    tensors: Mapping[str, object]
    label: str

    @property
    def averaged(self) -> bool:
        return any(part in AVERAGED for part in (*self.entry.split("/"), *self.prefix.split(".")))

    @property
    def names(self) -> tuple[str, ...]:
        """What a user may call it besides its label."""
        inner = self.prefix.rstrip(".")
        return (self.label.rpartition("/")[2], inner, inner.partition(".")[0])


def find_weights(path: Path, content: object, entry: str | None, config: VariantConfig | None = None) -> Found:
    """The weights in a file.

    Args:
        path: The file, for messages.
        content: What it holds, as from ``read_content``.
        entry: What to take: an entry, or what stands before the names of one of several sets (``teacher``,
            ``state_dict/teacher``). None takes the only set, else that of the first of ``ENTRIES``, of the widths of
            ``config``, and that is no moving average.
        config: The network that the weights are for.

    Raises:
        CheckpointError: It holds no tensors, or lacks ``entry``, or several sets of weights could be meant.
    """
    if not isinstance(content, Mapping):
        kind = "class of training code" if isinstance(content, Inert) else type(content).__name__
        raise CheckpointError(f"checkpoint {path} holds a {kind}, expected a dict of tensors")
    held = dict(_state_dicts(content))
    sets = [found for name, state in held.items() for found in _networks(name, state)]
    chosen = _by_convention(path, sets, config) if entry is None else _by_name(path, sets, held, entry)
    if chosen is None:  # no EdgeViT: whoever compares its names with one says so
        chosen = _without_network(*_entry_of(path, content, held, entry))
    others = [other.label for other in sets if other is not chosen and other.label]
    return Found(
        tensors=_only_tensors(path, chosen.tensors),
        entry=chosen.label or None,
        prefix=printable(_taken_off(chosen, held.get(chosen.entry, content))) or None,
        beside=tuple(_first(_beside(content, held, others, chosen))),
    )


def _state_dicts(
    content: Mapping[object, object], above: str = "", within: dict[int, bool] | None = None, depth: int = 0
) -> Iterator[tuple[str, Mapping[object, object]]]:
    """Every mapping that holds tensors, by its path; that of the whole is empty.

    ``within`` keeps of each mapping whether it holds tensors: one that stands in many places is entered once.
    """
    within = {} if within is None else within
    entered = id(content) in within
    if not entered:
        within[id(content)] = _holds_tensors(content)
    if within[id(content)]:
        yield above, content
    for key, value in () if entered else content.items():
        if isinstance(key, str) and isinstance(value, Mapping) and depth < _DEEPEST and "optim" not in key:
            yield from _state_dicts(value, f"{above}/{key}" if above else key, within, depth + 1)


def _holds_tensors(value: Mapping[object, object]) -> bool:
    import torch

    return any(isinstance(item, torch.Tensor) for item in value.values())


def _networks(entry: str, state: Mapping[object, object]) -> list[_Set]:
    """Each EdgeViT in a state dict, by what stands before its names."""
    names = {name: _WITHIN.sub("", name) for name in state if isinstance(name, str)}
    stored = {plain.removesuffix(ANCHOR): name for name, plain in names.items() if f".{plain}".endswith(f".{ANCHOR}")}
    found = []
    for prefix, anchor in stored.items():
        inner = tuple(other for other in stored if other != prefix and other.startswith(prefix))
        mine = {
            plain.removeprefix(prefix): state[name]
            for name, plain in names.items()
            if plain.startswith(prefix) and not (inner and plain.startswith(inner))
        }
        label = "/".join(part for part in (entry, prefix.rstrip(".") if len(stored) > 1 else "") if part)
        found.append(_Set(entry, anchor[: anchor.rindex("patch_embed1.")], _without_counters(mine), label))
    return found


def _without_network(entry: str, state: Mapping[object, object]) -> _Set:
    """A state dict without an EdgeViT in it, less the wrappers that stand before all of its names."""
    tensors: Mapping[str, object] = {_WITHIN.sub("", name): state[name] for name in state if isinstance(name, str)}
    tensors, taken = _without_counters(tensors), ""
    while found := next((word for word in _WRAPPERS if tensors and all(name.startswith(word) for name in tensors)), ""):
        tensors = {name.removeprefix(found): value for name, value in tensors.items()}
        taken += found
    other = {repr(key): value for key, value in state.items() if not isinstance(key, str)}
    return _Set(entry, taken, {**tensors, **other}, entry)


def _without_counters(tensors: Mapping[str, object]) -> Mapping[str, object]:
    return {name: value for name, value in tensors.items() if name.rpartition(".")[2] not in COUNTERS}


def _by_convention(path: Path, sets: Sequence[_Set], config: VariantConfig | None) -> _Set | None:
    """The set that is meant when nobody says which; None where there is none."""
    candidates = list(sets)
    for wanted in (*ENTRIES, ""):
        if under := [found for found in sets if found.entry == wanted]:
            candidates = under
            break
    for fitting in (
        [found for found in candidates if config is not None and _has_widths(found.tensors, config)],
        [found for found in candidates if not found.averaged],
    ):
        if fitting:
            candidates = [found for found in candidates if found in fitting]
    if len(candidates) > 1:
        raise _several(path, candidates)
    return candidates[0] if candidates else None


def _has_widths(tensors: Mapping[str, object], config: VariantConfig) -> bool:
    """Whether each stage begins with the channels of ``config``, and has its number of blocks."""
    shapes = {name: tuple(getattr(value, "shape", ())) or (0,) for name, value in tensors.items()}
    return measures(shapes) == (list(config.channels), list(config.blocks))


def _several(path: Path, sets: Sequence[_Set]) -> CheckpointError:
    labels = [found.label for found in sets]
    return CheckpointError(
        f"checkpoint {path} holds {len(sets)} sets of weights: {', '.join(label or 'a bare one' for label in labels)}",
        hint=" or ".join(f"--checkpoint-entry {quoted(label)}" for label in labels if label),
    )


def _by_name(path: Path, sets: Sequence[_Set], held: Mapping[str, object], entry: str) -> _Set | None:
    """The set that the user names; None where that is an entry without an EdgeViT."""
    for fitting in ([one for one in sets if entry == one.label], [one for one in sets if entry in one.names]):
        if len(fitting) > 1:
            raise _several(path, fitting)
        if fitting:
            return fitting[0]
    if within := [one for one in sets if one.entry == entry]:
        raise _several(path, within)
    if entry in held:
        return None
    names = sorted({one.label for one in sets if one.label} | {name for name in held if name})
    if not names:
        raise CheckpointError(f"checkpoint {path} has no entries, it is a bare state dict; '{entry}' was asked for")
    choice = unknown_choice("entry", entry, names)
    raise CheckpointError(f"checkpoint {path}: {choice.message}", hint=choice.hint)


def _entry_of(
    path: Path, content: Mapping[object, object], held: Mapping[str, Mapping[object, object]], entry: str | None
) -> tuple[str, Mapping[object, object]]:
    """The entry, and the state dict under it, of a file without an EdgeViT."""
    for name in ENTRIES if entry is None else (entry,):
        if name in held:
            return name, held[name]
    if held and "" not in held:
        names = ", ".join(held)
        raise CheckpointError(
            f"checkpoint {path} has tensors under {names}, expected under one of {', '.join(ENTRIES)}",
            hint=f"--checkpoint-entry {quoted(next(iter(held)))}",
        )
    return "", content


def _only_tensors(path: Path, state: Mapping[str, object]) -> dict[str, Tensor]:
    """The state dict with its types checked; shapes and dtypes are as stored."""
    import torch

    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        keys = ", ".join(repr(key) for key in list(state)[:8]) or "nothing"
        inner = [key for value in (state, *state.values()) if isinstance(value, Mapping) for key in value]
        if any(f".{key}".endswith(f".{ANCHOR}") for key in inner):
            raise CheckpointError(
                f"checkpoint {path} has an EdgeViT's names, but arrays of numpy or other data under them, no tensors",
                hint="torch.save({name: torch.from_numpy(array) for name, array in weights.items()}, 'weights.pth')",
            )
        raise CheckpointError(
            f"checkpoint {path} holds no tensors, nor do {_DEEPEST} levels of dictionaries in it: it has {keys}; "
            f"expected a state dict, bare or under {', '.join(ENTRIES)}"
        )
    if len(tensors) < len(state):
        other = [repr(key) for key in state if key not in tensors]
        raise CheckpointError(f"checkpoint {path}: entries that are no tensors: {', '.join(other[:5])}")
    for name, tensor in tensors.items():
        if why := _without_values(tensor):
            raise CheckpointError(f"checkpoint {path}: {name} of shape {tuple(tensor.shape)} {why}")
    return tensors


def _without_values(tensor: Tensor) -> str | None:
    """Why a tensor does not hold a value for each of its places."""
    import torch

    if tensor.device.type != "cpu":
        return f"has no values (device {tensor.device.type})"
    if tensor.layout is not torch.strided or tensor.is_quantized:
        return None  # refused by its type, where it is needed
    stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    if tensor.numel() > max(stored, _EXPANDED):
        return f"repeats {stored:,} stored values"
    if tensor.numel() == 0:
        return "is empty: a part of DeepSpeed's ZeRO-3 or of FSDP, to be joined first (zero_to_fp32.py)"
    return None


def _taken_off(chosen: _Set, state: Mapping[object, object]) -> str:
    """What was taken off the names: what stands before all, and wrappers within some."""
    mine = (name for name in state if isinstance(name, str) and name.startswith(chosen.prefix))
    within = dict.fromkeys(word for name in mine for word in _WITHIN.findall(name[len(chosen.prefix) :]))
    return ", ".join((*((chosen.prefix,) if chosen.prefix else ()), *within))


def _beside(
    content: Mapping[object, object], held: Mapping[str, Mapping[object, object]], others: Sequence[str], chosen: _Set
) -> Iterator[str]:
    """What the file holds besides the weights that are taken: other weights first."""
    yield from (f"{label}{OTHER_WEIGHTS}" for label in others)
    state = held.get(chosen.entry, content)
    rest = Counter(
        "counters" if name.rpartition(".")[2] in COUNTERS else name.partition(".")[0]
        for name in state
        if isinstance(name, str)
        and (name.rpartition(".")[2] in COUNTERS or not name.startswith(chosen.prefix))
        and not any(_WITHIN.sub("", name).startswith(f"{label.rpartition('/')[2]}.") for label in others)
    )
    yield from (f"{name} ({count} {'entry' if count == 1 else 'entries'})" for name, count in rest.items())
    if state is not content:
        taken = chosen.entry.partition("/")[0]
        yield from (str(key) for key in content if key != taken and str(key) not in others)


def _first(words: Iterable[str]) -> list[str]:
    """The first few, each short and fit to be shown."""
    shown = [printable(word)[:80] for word in words]
    more = [f"{len(shown) - _NAMED} more"] if len(shown) > _NAMED else []
    return shown[:_NAMED] + more
