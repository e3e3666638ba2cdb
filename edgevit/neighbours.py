"""The networks of the paper's Table 2: where each can be had today, and which of them a network is. Imports no torch.

Who is whose rival follows from the table's own order: it lists the networks by their cost, and an EdgeViT ends each of
its three parts.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from edgevit.errors import unknown_choice
from edgevit.paper import LatencyRow, paper_tables
from edgevit.records import Record
from edgevit.spec import Network, Task

BASE = "EdgeViT-XXS"
"""The network that the others are compared with."""
CLASSES = 1000  # of ImageNet, on which all of Table 2 was trained
_TIMM = "timm:"  # begins the variant of timm's networks


class Neighbour(Record):
    """One network.

    Attributes:
        model: Its name in Table 2, or for one that is not there its own.
        timm: The name by which timm has it, with ``architecture`` where that name means another size.
        edgevit: The variant, of an EdgeViT.
        architecture: Arguments of timm's class that differ from those of the name.
        input_size: Height and width in pixels at which the paper measured it.
        parameters: Counted on the network.
        multiply_adds: Counted on the network at its input size.
        differs: What of that is not what the paper prints.
        missing: Why it cannot be had here; it then has no source.
    """

    model: str
    timm: str | None = None
    edgevit: str | None = None
    architecture: dict[str, int | tuple[int, ...]] = msgspec.field(default_factory=dict)
    input_size: int = 224
    parameters: int | None = None
    multiply_adds: int | None = None
    differs: str = ""
    missing: str = ""

    @property
    def name(self) -> str:
        """As it is typed: lower case, without the paper's marks."""
        return self.model.rstrip("*†").lower()

    @property
    def source(self) -> str:
        """What it is made from, in a word: ``timm:deit_tiny_patch16_224``."""
        return f"{_TIMM}{self.timm}" if self.timm else f"edgevit {self.edgevit}" if self.edgevit else self.missing

    @property
    def reported(self) -> LatencyRow | None:
        """Its row in Table 2."""
        return next((row for row in paper_tables().table_2.rows if row.model == self.model), None)

    def is_made_as(self, network: Network) -> bool:
        """Whether ``network``, as records and manifests describe it, is this one, whatever its weights."""
        if (network.task, network.num_classes) != (Task.CLASSIFY, CLASSES):
            return False
        if self.edgevit is not None:
            return network.variant == self.edgevit and not network.options
        if self.timm is None or network.variant.partition(".")[0] != f"{_TIMM}{self.timm}":
            return False
        return network.options.get("architecture", "") == _described(self.architecture)


def _described(architecture: dict[str, int | tuple[int, ...]]) -> str:
    """As ``ModelSpec.options`` keeps it; empty where it is the name's own."""
    return json.dumps(architecture, sort_keys=True, separators=(",", ":")) if architecture else ""


@cache
def neighbours() -> dict[str, Neighbour]:
    """All networks by the paper's name, in the order of Table 2."""
    text = files("edgevit").joinpath("neighbours.toml").read_text(encoding="utf-8")
    tables = {name: {**table, "model": name} for name, table in tomllib.loads(text).items()}
    return msgspec.convert(tables, dict[str, Neighbour])


def find_neighbour(name: str) -> Neighbour:
    """A network by the paper's name, case and marks aside, or by the name of its source.

    Raises:
        UsageError: There is no such network.
    """
    wanted = name.strip().lower().rstrip("*†").removeprefix(_TIMM)
    for each in neighbours().values():
        if wanted in (each.name, each.timm, each.edgevit):
            return each
    raise unknown_choice("network of the paper's Table 2", name, [each.name for each in neighbours().values()])


def neighbour_of(network: Network) -> Neighbour | None:
    """Which network of the table this is; None for any other."""
    return next((each for each in neighbours().values() if each.is_made_as(network)), None)


def rivals() -> dict[str, tuple[str, ...]]:
    """For each EdgeViT the other networks in its part of Table 2."""
    found: dict[str, tuple[str, ...]] = {}
    part: list[str] = []
    for row in paper_tables().table_2.rows:
        each = neighbours()[row.model]
        if each.edgevit is None:
            part.append(row.model)
        else:
            found[row.model], part = tuple(part), []
    return found
