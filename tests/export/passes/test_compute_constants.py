"""What depends on constants alone is computed at export."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls, captured
from torch import Tensor, nn

from export.graph_editor import GraphEditor
from export.passes import compute_constants

aten = torch.ops.aten


class Bias(nn.Module):
    """Scores with a position bias gathered from a table, as Swin and LeViT do."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(5, 2))
        self.register_buffer("index", torch.tensor([[0, 4, 1], [2, 2, 3], [4, 0, 0]]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table[self.index.view(-1)].view(3, 3, 2).permute(2, 0, 1).unsqueeze(0)


def test_a_position_bias_is_gathered_at_export() -> None:
    module, log = apply(Bias(), (2, 2, 3, 3), compute_constants)
    assert log.rewrites == 1
    assert [node.target for node in module.graph.nodes if node.op == "call_function"] == [aten.add.Tensor]


def test_a_table_that_nothing_but_sizes_make() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        rows = torch.arange(3, dtype=x.dtype).cumsum(0) / torch.full((3,), 2.0, dtype=x.dtype)
        low, high = torch.stack([rows.sin(), rows.cos()]).split(1)
        return x * low + high

    module, log = apply(Lambda(forward), (2, 3), compute_constants)
    assert log.rewrites == 2
    assert calls(module, aten.mul.Tensor, aten.add.Tensor) == 2
    assert sum(node.op == "call_function" for node in module.graph.nodes) == 2


def test_leaves_random_numbers_and_the_input_alone() -> None:
    # capture refuses these: the pass stands for itself
    random = torch.export.export(Lambda(lambda m, x: x + torch.rand(3)), (torch.zeros(2, 3),)).module()
    assert compute_constants.run(GraphEditor(random)).rewrites == 0
    assert apply(Lambda(lambda m, x: (x + 1).exp()), (2, 3), compute_constants)[1].rewrites == 0


def test_a_value_that_would_fill_the_file_stays_and_is_said() -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return x + m["fc"].bias[:1].sin().expand(1, 2**19 + 1)

    log = apply(Lambda(forward, fc=nn.Linear(2, 2)), (1, 1), compute_constants)[1]
    assert (log.rewrites, [(row.operator, row.why) for row in log.refused]) == (
        0,
        [("aten::expand", "its value takes more than 4 MiB")],
    )


def test_a_large_weight_that_is_normalised_in_every_run() -> None:
    """Weight standardisation (NFNet): the value takes the place of the parameter, and the file stays as large."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        weight = m["fc"].weight
        return nn.functional.linear(x, (weight - weight.mean(1, keepdim=True)) / weight.std(1, keepdim=True))

    module, log = apply(Lambda(forward, fc=nn.Linear(1025, 1025)), (2, 1025), compute_constants)
    assert (log.rewrites, log.refused) == (1, ())
    assert [node.target for node in module.graph.nodes if node.op == "call_function"] == [aten.linear.default]


@pytest.mark.parametrize(("batch", "free_batch", "found"), [(3, True, 0), (3, False, 1), (1, True, 1)])
def test_what_is_made_for_each_sample_of_a_free_batch_stays(batch: int, free_batch: bool, found: int) -> None:
    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        return torch.cat([m["fc"].bias.expand(len(x), 1, -1).sin(), x], dim=1)

    editor = GraphEditor(captured(Lambda(forward, fc=nn.Linear(2, 2)), (batch, 4, 2)).module)
    assert compute_constants.run(editor, free_batch=free_batch).rewrites == found
