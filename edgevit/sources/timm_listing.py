"""What timm has: names with their size, the number of their weights and whether a hub has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgevit.errors import UsageError
from edgevit.records import Record
from edgevit.sources.pretrained_cfg import evaluated_size
from edgevit.sources.timm_names import TimmName, find_network
from edgevit.text import printable

if TYPE_CHECKING:
    from torch import nn

MOST_COUNTED = 60  # networks whose parameters are counted, a tenth of a second each: chosen, as a screen or two hold


class ListedNetwork(Record):
    """One of timm's names. ``input`` is (channels, height, width); ``parameters`` None where they were not counted."""

    name: str
    input: tuple[int, int, int]
    parameters: int | None = None
    weights: tuple[str, ...] = ()


def list_timm(pattern: str) -> tuple[ListedNetwork, ...]:
    """The networks whose names fit ``pattern`` (``mobilevit*``), with the tags of the weights that a hub has of each.

    Raises:
        UsageError: None fits.
        MissingDependencyError: timm, or the torchvision that it imports, is missing or does not load.
    """
    from edgevit.sources.timm_installed import timm_module

    timm_module()
    from timm import list_models

    names = [str(name) for name in list_models(pattern)]
    if not names:
        raise UsageError(f"timm has no network '{printable(pattern)}'", hint="edgevit-export models --timm '*vit*'")
    return tuple(_listed(name, counted=len(names) <= MOST_COUNTED) for name in names)


def _listed(name: str, *, counted: bool) -> ListedNetwork:
    network = find_network(name)
    return ListedNetwork(
        name=name,
        input=evaluated_size(network.cfg),
        parameters=_parameters(network) if counted else None,
        weights=_tags(name),
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
