"""What depends on constants alone is computed at export."""

from __future__ import annotations

import torch
from pass_rig import Lambda, apply, calls
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
