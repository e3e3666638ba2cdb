"""Networks that keep something between calls are named with the line; those that keep what never changes go on."""

from __future__ import annotations

import pytest
import torch
from small_models import spec_of
from torch import Tensor, nn

from edgevit.errors import ExportError
from edgevit.spec import TensorSpec
from export.eager.steady import line_that_changes
from export.golden import make_golden

SPEC = spec_of("kept", (TensorSpec(name="x", shape=(1, 4)),), (TensorSpec(name="y", shape=(1, 4)),))


class Previous(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.previous: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        change = x if self.previous is None else x - self.previous
        self.previous = x.clone()
        return change


class First(nn.Module):
    reference: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.reference is None:
            self.reference = x + 1
        return x - self.reference


class Counts(nn.Module):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


class Alternates(nn.Module):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls = 1 - self.calls
        return x * self.calls


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.maps: dict[str, list[Tensor]] = {"last": []}

    def forward(self, x: Tensor) -> Tensor:
        self.maps["last"].append(x.clone())
        return torch.stack(self.maps["last"][-3:]).mean(0)


class Running(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        self.average.mul_(0.9).add_(x, alpha=0.1)
        return self.average + 0


@pytest.mark.parametrize(
    ("part", "attribute", "line"),
    [
        (Previous(), "previous", r"self\.previous = x\.clone\(\)"),
        (First(), "reference", r"self\.reference = x \+ 1"),
        (Counts(), "calls", r"self\.calls \+= 1"),
        (Alternates(), "calls", r"self\.calls = 1 - self\.calls"),
        (Remembers(), "maps", r'self\.maps\["last"\]\.append\(x\.clone\(\)\)'),
        (Running(), "average", r"self\.average\.mul_\(0\.9\)\.add_\(x, alpha=0\.1\)"),
    ],
)
@pytest.mark.parametrize("batch", [1, 4])
def test_what_a_network_keeps_is_named_with_its_line(part: nn.Module, attribute: str, line: str, batch: int) -> None:
    shapes = {"inputs": "x", "outputs": "y"}
    tensors = {key: (TensorSpec(name=name, shape=(batch, 4)),) for key, name in shapes.items()}
    spec = spec_of("kept", tensors["inputs"], tensors["outputs"])
    if isinstance(part, Running):
        part.average = torch.zeros(batch, 4)
    model = nn.Sequential(nn.Linear(4, 4), part).eval()
    words = (
        rf"answers differently on the same input at output 'y': it keeps '1\.{attribute}' from call to call, at "
        rf".*test_steady\.py:\d+ in forward: {line}$"
    )
    with pytest.raises(ExportError, match=words) as caught:
        make_golden(model, spec)
    assert caught.value.hint == (
        f"an artifact keeps nothing from run to run: take '1.{attribute}' as an input and return it"
    )


def test_a_table_of_the_same_values_goes_on() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables: dict[tuple[int, ...], Tensor] = {}
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if x.shape not in self.tables:
                self.tables[x.shape] = torch.arange(4.0)
            return x * self.tables[x.shape]

    assert len(make_golden(Table(), SPEC)) > 10


def test_what_is_kept_outside_of_the_network_is_told_without_a_name() -> None:
    kept: list[Tensor] = []

    class Outside(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            kept.append(x.clone())
            return x - kept[-2] if len(kept) > 1 else x

    with pytest.raises(ExportError, match="it keeps something from call to call outside of its attributes"):
        make_golden(Outside(), SPEC)


def test_the_line_of_an_attribute_that_nothing_changes_is_empty() -> None:
    assert line_that_changes(Previous(), "training") == ""
    assert "test_steady.py" in line_that_changes(Previous(), "previous")
