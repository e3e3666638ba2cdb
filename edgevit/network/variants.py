"""The variants as data: what sets one EdgeViT apart from another. ``variants.toml`` holds the built-in ones.

A user's own configuration is read by ``edgevit.network.config_file``. This module imports no torch.
"""

from __future__ import annotations

import math
import tomllib
from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec

from edgevit.errors import parse_choice, unknown_choice
from edgevit.records import Record

Four = tuple[int, int, int, int]
Ratios = tuple[float, float, float, float]
STAGES = 4
PATCH_STRIDES: Four = (4, 2, 2, 2)
STAGE_STRIDES: Four = (4, 8, 16, 32)


class Delegate(StrEnum):
    """How the delegate of a window is made (paper, Table 4b). ``center`` is the window's top-left token."""

    CENTER = "center"
    AVG = "avg"
    MAX = "max"


class Propagation(StrEnum):
    """How what the delegates learnt reaches their windows (paper, Table 4c).

    ``none`` updates the delegates' own positions and leaves the rest of each window to the residual path.
    """

    TRANSPOSED_CONV = "transposed-conv"
    BILINEAR = "bilinear"
    NONE = "none"


class VariantConfig(Record):
    """One EdgeViT architecture (paper, Section 3 and Table 1; the published code decides).

    Per-stage fields hold four numbers. ``sample_rates`` of 1 mean that every token is a delegate: such a stage has
    neither local aggregation nor local propagation. ``aggregation=False`` leaves local aggregation out everywhere.
    ``paper_model`` is the name under which the paper reports figures for exactly this architecture.
    """

    name: str
    channels: Four
    blocks: Four
    heads: Four
    sample_rates: Four = (4, 2, 2, 1)
    ffn_ratios: Ratios = (4.0, 4.0, 4.0, 4.0)
    delegate: Delegate = Delegate.CENTER
    propagation: Propagation = Propagation.TRANSPOSED_CONV
    aggregation: bool = True
    paper_model: str | None = None
    description: str = ""

    @property
    def size_multiple(self) -> int:
        """Input height and width must be multiples of this (32 unless sample rates say otherwise)."""
        return math.lcm(*(stride * rate for stride, rate in zip(STAGE_STRIDES, self.sample_rates, strict=True)))

    def hidden_channels(self, stage: int) -> int:
        """Width inside the FFN of stage ``stage`` (0..3)."""
        return int(self.channels[stage] * self.ffn_ratios[stage])

    def has_aggregation(self, stage: int) -> bool:
        """Whether the blocks of stage ``stage`` (0..3) start with local aggregation."""
        return self.aggregation and self.sample_rates[stage] > 1

    def options(self) -> dict[str, str]:
        """The ablation options that differ from the paper's own choice, by name."""
        found: dict[str, str] = {}
        if self.delegate is not Delegate.CENTER:
            found["delegate"] = self.delegate.value
        if self.propagation is not Propagation.TRANSPOSED_CONV:
            found["propagation"] = self.propagation.value
        if not self.aggregation:
            found["aggregation"] = "off"
        return found

    def with_options(
        self,
        *,
        delegate: Delegate | None = None,
        propagation: Propagation | None = None,
        aggregation: bool | None = None,
    ) -> VariantConfig:
        """The same architecture with some of the ablation options set; None keeps what the configuration says."""
        return msgspec.structs.replace(
            self,
            delegate=self.delegate if delegate is None else delegate,
            propagation=self.propagation if propagation is None else propagation,
            aggregation=self.aggregation if aggregation is None else aggregation,
        )


class VariantTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One variant as a table of keys, here or in a user's file; one of ``heads`` and ``head_dim`` is set."""

    channels: Four
    blocks: Four
    heads: Four | None = None
    head_dim: int | None = None
    sample_rates: Four = (4, 2, 2, 1)
    ffn_ratio: Ratios = (4.0, 4.0, 4.0, 4.0)
    delegate: str = Delegate.CENTER.value
    propagation: str = Propagation.TRANSPOSED_CONV.value
    aggregation: bool = True
    name: str | None = None
    description: str = ""
    paper_model: str | None = None

    def config(self, name: str) -> VariantConfig:
        """The architecture that a valid table describes."""
        first, second, third, fourth = self.heads or (channels // (self.head_dim or 1) for channels in self.channels)
        return VariantConfig(
            name=name,
            channels=self.channels,
            blocks=self.blocks,
            heads=(first, second, third, fourth),
            sample_rates=self.sample_rates,
            ffn_ratios=self.ffn_ratio,
            delegate=parse_choice("delegate", Delegate, self.delegate),
            propagation=parse_choice("propagation", Propagation, self.propagation),
            aggregation=self.aggregation,
            paper_model=self.paper_model,
            description=self.description,
        )


@cache
def variants() -> dict[str, VariantConfig]:
    """The built-in variants by name, in the order of ``variants.toml``."""
    text = files("edgevit.network").joinpath("variants.toml").read_text(encoding="utf-8")
    tables = msgspec.convert(tomllib.loads(text), dict[str, VariantTable])
    return {name: table.config(name) for name, table in tables.items()}


def find_variant(name: str) -> VariantConfig:
    """The built-in variant ``name``; case does not matter and a leading ``edgevit-`` is accepted.

    Raises:
        UsageError: There is no such variant; lists the choices and the closest match.
    """
    found = variants().get(name.strip().lower().removeprefix("edgevit").lstrip("-_"))
    if found is None:
        raise unknown_choice("variant", name, variants())
    return found
