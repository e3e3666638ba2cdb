"""What timm has: names with their size, the number of their weights and whether a hub has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgevit.errors import UsageError
from edgevit.records import Record
from edgevit.shell import quoted
from edgevit.sources.pretrained_cfg import evaluated_size
from edgevit.sources.timm_installed import timm_module
from edgevit.sources.timm_names import TimmName, find_network, nearest
from edgevit.text import printable

if TYPE_CHECKING:
    from torch import nn

_SOURCE = re.compile(r"^(?:timm:)?(?:hf[-_]hub:)?(?:timm/)?")
MOST_COUNTED = 60  # networks whose parameters are counted, a tenth of a second each: chosen, as a screen or two hold


class ListedNetwork(Record):
    """One of timm's names. ``input`` is (channels, height, width); ``parameters`` None where they were not counted."""

    name: str
    input: tuple[int, int, int]
    parameters: int | None = None
    weights: tuple[str, ...] = ()


def list_timm(pattern: str) -> tuple[ListedNetwork, ...]:
    """The networks whose names fit ``pattern`` (``mobilevit*``), with the tags of the weights that a hub has of each.

    A pattern with a dot (``resnet18.*``) is one of names with tags. What ``--model`` takes before a name may be there.

    Raises:
        UsageError: None fits.
        MissingDependencyError: timm, or the torchvision that it imports, is missing or does not load.
    """
    timm_module()
    from timm import list_models

    bare = _SOURCE.sub("", pattern)
    names = [str(name) for name in list_models(bare, include_tags="." in bare)] if bare else []
    if not names:
        architecture, _, tag = bare.partition(".")
        raise UsageError(
            f"timm has no network '{printable(pattern)}'" + _tags_instead(architecture, tag),
            hint=_one_at_a_time(bare) or nearest(architecture.strip("*")),
        )
    return tuple(_listed(name, counted=len(names) <= MOST_COUNTED) for name in names)


def _one_at_a_time(pattern: str) -> str:
    """How to ask where several names were given at once; empty for one."""
    first, *others = pattern.replace(",", " ").split() or [pattern]
    return f"one pattern at a time: edgevit-export models --timm {quoted(first)}" if others else ""


def _tags_instead(architecture: str, tag: str) -> str:
    """Which tags there are, where the name is right and the tag is not."""
    from timm.models import is_model

    there = ", ".join(_tags(architecture)) if tag and is_model(architecture) else ""
    return f": {printable(architecture)} has {there}" if there else ""


def _listed(name: str, *, counted: bool) -> ListedNetwork:
    network = find_network(name)
    tag = name.partition(".")[2]
    return ListedNetwork(
        name=name,
        input=evaluated_size(network.cfg),
        parameters=_parameters(network) if counted else None,
        weights=tuple(other for other in _tags(name) if tag in ("", other)),
    )


def _tags(name: str) -> tuple[str, ...]:
    """The tags of ``name`` that a hub has weights of, the default one first; ``default`` for one without a tag."""
    from timm.models import get_arch_pretrained_cfgs

    found = get_arch_pretrained_cfgs(name)
    return tuple(tag.partition(".")[2] or "default" for tag, cfg in found.items() if cfg.hf_hub_id)


def _parameters(network: TimmName) -> int | None:
    """The number of parameters, without memory for them; None where a network cannot be made so."""
    import timm
    import torch

    try:
        with torch.device("meta"):
            model: nn.Module = timm.create_model(network.given)
    except (RuntimeError, NotImplementedError, TypeError, ValueError, AssertionError):
        return None
    return sum(parameter.numel() for parameter in model.parameters())
