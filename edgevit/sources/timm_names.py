"""What a name of timm's stands for: an entry of its registry, perhaps with a tag, or a repository of the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches

from edgevit.errors import UsageError
from edgevit.names import file_name
from edgevit.sources.timm_installed import timm_module
from edgevit.text import parse_json, printable

HUB = "hf-hub:"
_OWN_HUB = "timm/"
_LEAST_PART = 3  # letters of a part of a name that tell anything; chosen: "vit" does


@dataclass(frozen=True)
class TimmName:
    """A network that timm knows.

    Attributes:
        given: As timm's ``create_model`` takes it: ``resnet18.a1_in1k``, ``hf-hub:timm/resnet18.a1_in1k``.
        cfg: Its ``pretrained_cfg``: where its weights are, and what they were evaluated with.
        arguments: Those of its class that a repository names.
    """

    given: str
    cfg: Mapping[str, object]
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def registered(self) -> str:
        """The name in timm's registry that it is made by; a repository's files are not looked for then."""
        return str(self.cfg["architecture"]) if self.given.startswith(HUB) else self.given

    @property
    def stem(self) -> str:
        """The name as the stem of a file, the hub's own account left out."""
        return file_name(self.given.removeprefix(HUB).removeprefix(_OWN_HUB))


def find_network(name: str, *, download: bool = True) -> TimmName:
    """The network that ``name`` means; ``timm/resnet18.a1_in1k``, as the hub shows it, is its repository there.

    Without ``download`` a repository is looked for in the hub's cache alone.

    Raises:
        UsageError: timm knows no such network or tag; names the nearest.
        FailureError: A repository's configuration is neither in the hub's cache nor to be downloaded.
        MissingDependencyError: timm, or the torchvision that it imports, is missing or does not load.
    """
    timm_module()
    if name.startswith("hf_hub:") or ("/" in name and ":" not in name):
        name = HUB + name.removeprefix("hf_hub:")
    if name.startswith(HUB):
        from edgevit.sources.hub import hub_config

        repository = name.removeprefix(HUB)
        cfg, arguments = hub_config(repository, download=download, hint=_instead_of(repository))
        _registered(str(cfg["architecture"]))
        return TimmName(name, cfg, read_architecture(describe_architecture(_own_arguments(arguments))))
    if ":" in name:
        raise UsageError(
            f"unknown source of networks in '{printable(name)}'", hint="timm:NAME, or timm:hf-hub:OWNER/NAME"
        )
    return TimmName(name, _registered(name))


def _own_arguments(arguments: Mapping[str, object]) -> dict[str, object]:
    """A repository's arguments less those that its ``pretrained_cfg`` or the request say."""
    return {key: value for key, value in arguments.items() if key not in ("num_classes", "in_chans", "img_size")}


def _registered(name: str) -> Mapping[str, object]:
    """The ``pretrained_cfg`` of a registered name; empty where a network has none."""
    from timm.models import get_pretrained_cfg, is_model

    architecture, _, tag = name.partition(".")
    if not name or not is_model(name):
        raise UsageError(f"timm has no network '{printable(name)}'", hint=nearest(architecture))
    try:
        found = get_pretrained_cfg(name)
    except (RuntimeError, ValueError, KeyError) as error:
        tags = ", ".join(listed.partition(".")[2] for listed in _tagged(architecture)) or "none"
        raise UsageError(f"timm's {architecture} has no weights '{printable(tag)}': it has {tags}") from error
    return {} if found is None else asdict(found)


def _tagged(architecture: str) -> list[str]:
    from timm import list_models

    return [str(name) for name in list_models(architecture, include_tags=True) if "." in name]


def nearest(name: str) -> str:
    """The names that were probably meant, or how to list them."""
    from timm import list_models

    known, name = list_models(), name.lower()
    close = (
        get_close_matches(name, known, n=3, cutoff=0.6)
        or [other for other in known if len(name) >= _LEAST_PART and name in other][:3]
    )
    if close:
        return f"did you mean {' or '.join(f'timm:{other}' for other in close)}?"
    return "edgevit-export models --timm '*'"


def _instead_of(repository: str) -> str:
    """What to ask for where a repository cannot be had: the network of that name in timm itself, or one like it."""
    from timm.models import is_model

    parts = re.split(r"[/:@\\]", repository.partition("@")[0])
    names = [name for part in reversed(parts) if (name := part.partition(".")[0])]
    for name in names:
        if is_model(name):
            return f"--model timm:{name}, which timm has itself; with --weights random it needs no hub"
    return nearest(names[0] if names else "")


RESERVED = (
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_filter_fn", "pretrained_strict",
    "pretrained_model_args", "checkpoint_path", "cache_dir", "features_only", "feature_cfg", "feature_cls",
    "in_chans", "num_classes", "scriptable", "exportable", "no_jit", "kwargs_filter", "device", "dtype",
)  # fmt: skip
"""Arguments of ``create_model`` that say no architecture: weights, files, and what has an option of its own."""


def describe_architecture(architecture: Mapping[str, object]) -> str:
    """Arguments of a network's class as one line of JSON, as ``ModelSpec.options`` keeps them.

    Raises:
        UsageError: One of them is nothing that JSON has, or says no architecture.
    """
    if reserved := [name for name in architecture if name in RESERVED]:
        raise UsageError(f"the architecture names {', '.join(reserved)}, which is none of it")
    try:
        return json.dumps(dict(architecture), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the architecture {dict(architecture)!r} cannot be written down: {error}") from error


LARGEST_NUMBER = 2**16
"""Of an architecture that is read back; chosen: the widest of timm's layers has 2^13 channels."""


def read_architecture(text: str) -> dict[str, object]:
    """What ``describe_architecture`` wrote, perhaps by a stranger.

    Raises:
        UsageError: It is no table of JSON, or holds a number of no network.
    """
    table = parse_json(text, origin="the architecture", failure=UsageError)
    if not isinstance(table, dict):
        raise UsageError("the architecture is no table of JSON")
    waiting: list[object] = list(table.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        elif isinstance(value, int | float) and abs(value) > LARGEST_NUMBER:
            raise UsageError(f"the architecture holds {value:g}, expected {LARGEST_NUMBER} at most")
    return table
