"""Parameters and multiply-adds against the published figures, and the paper's tables against its own."""

from __future__ import annotations

import msgspec
import pytest
import torch
from edgevit_tiny import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from edgevit.errors import UsageError
from edgevit.network.complexity import Complexity, VariantSummary, complexity, summarise
from edgevit.network.describe import ModelRequest
from edgevit.network.model import empty_model
from edgevit.network.variants import Delegate, Propagation, find_variant, variants
from edgevit.spec import Task


@pytest.fixture(scope="module")
def summaries() -> dict[str, VariantSummary]:
    return {name: summarise(config, (224, 224)) for name, config in variants().items()}


@pytest.mark.parametrize(
    ("variant", "params_m", "giga_multiply_adds"),
    [("xxs", 4.07, 0.55), ("xs", 6.77, 1.13), ("s", 13.11, 1.91), ("xs-table1", 7.26, 0.99), ("s-table1", 8.76, 1.37)],
)
def test_published_figures(
    summaries: dict[str, VariantSummary], variant: str, params_m: float, giga_multiply_adds: float
) -> None:
    counted = summaries[variant].complexity
    assert round(counted.parameters / 1e6, 2) == params_m
    assert round(counted.multiply_adds / 1e9, 2) == giga_multiply_adds


def test_the_papers_rows_stand_only_beside_what_it_reports(summaries: dict[str, VariantSummary]) -> None:
    small = summaries["s"]
    assert small.paper_latency is not None
    assert small.paper_energy is not None
    assert (small.paper_latency.params_m, small.paper_latency.top1_pct) == (11.1, 81.0)
    assert (small.paper_energy.energy_mj, small.paper_energy.power_w) == (386.7, 4.8)
    assert summaries["s-table1"].paper_latency is None
    changed = find_variant("s").with_options(delegate=Delegate.AVG)
    assert summarise(changed, (224, 224)).paper_latency is None


def test_cost_follows_the_request() -> None:
    config = find_variant("xxs")
    request = ModelRequest(
        config=config, task=Task.CLASSIFY, num_classes=1000, in_channels=3, input_size=(224, 224), batch=1
    )
    plain, small_head, large, features = (
        complexity(msgspec.structs.replace(request, **options))
        for options in (
            {}, {"num_classes": 10}, {"input_size": (448, 224)}, {"task": Task.FEATURES, "num_classes": None},
        )
    )  # fmt: skip
    assert plain.parameters - small_head.parameters == 990 * 289
    assert plain.multiply_adds - small_head.multiply_adds == 990 * 288
    assert plain.parameters - features.parameters == 1000 * 289 + 2 * 288
    assert 2 < large.multiply_adds / plain.multiply_adds < 2.5
    with pytest.raises(UsageError, match="multiples of 32"):
        summarise(config, (100, 100))


def counted_by_torch(request: ModelRequest) -> Complexity:
    """What torch counts on the network itself, on the meta device."""
    model = empty_model(request).eval()
    image = torch.empty(1, request.in_channels, *request.input_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Complexity(parameters=parameters, multiply_adds=counter.get_total_flops() // 2)


@pytest.mark.parametrize("variant", ["xxs", "s"])
@pytest.mark.parametrize("task", Task)
def test_arithmetic_counts_what_the_network_has(variant: str, task: Task) -> None:
    classes = 10 if task is Task.CLASSIFY else None
    request = ModelRequest(
        config=find_variant(variant), task=task, num_classes=classes, in_channels=4, input_size=(256, 96), batch=1
    )
    assert complexity(request) == counted_by_torch(request)


@settings(max_examples=20, deadline=None)
@given(
    rates=st.lists(st.sampled_from([1, 2, 4]), min_size=4, max_size=4),
    blocks=st.lists(st.integers(1, 2), min_size=4, max_size=4),
    ratio=st.floats(1, 4),
    propagation=st.sampled_from(Propagation),
    aggregation=st.booleans(),
)
def test_arithmetic_counts_any_configuration(
    rates: list[int], blocks: list[int], ratio: float, propagation: Propagation, aggregation: bool
) -> None:
    config = msgspec.structs.replace(
        tiny(), sample_rates=tuple(rates), blocks=tuple(blocks), ffn_ratios=(ratio,) * 4,
        propagation=propagation, aggregation=aggregation,
    )  # fmt: skip
    request = ModelRequest(
        config=config, task=Task.CLASSIFY, num_classes=5, in_channels=3, input_size=(128, 256), batch=1
    )
    assert complexity(request) == counted_by_torch(request)
