"""How many multiply-adds a captured program takes, counted on its own graph for the shapes that it was captured for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.program import Program


def multiply_adds(program: Program) -> int:
    """Multiply-adds of one run, the whole batch: convolutions, linear layers, products of matrices, attention.

    Norms, activations, softmax, pooling and sums are left out, as in the "FLOPs" of papers. Nothing is computed: the
    graph is walked with shapes alone.
    """
    import torch
    from torch._subclasses import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    shapes = FakeTensorMode(allow_non_fake_inputs=True)
    counter = FlopCounterMode(display=False, custom_mapping=_not_counted_by_torch())
    with torch.no_grad(), shapes, counter:
        program.module(*[shapes.from_tensor(tensor) for tensor in program.example])
    operations: int = counter.get_total_flops()
    return operations // 2


def _not_counted_by_torch() -> dict[object, Callable[..., int]]:
    """Operations, two a multiply-add, of what torch 2.13 takes for free: attention on the CPU, products with a vector.

    Each function is given the shapes of the call's tensors.
    """
    import torch
    from torch.utils.flop_counter import sdpa_flop_count

    def attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: object, **__: object) -> int:
        operations: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
        return operations

    def product(matrix: Sequence[int], vector: Sequence[int], *_: object, **__: object) -> int:
        return 2 * matrix[0] * vector[0] if len(matrix) == 2 else 2 * vector[0]

    def sum_and_product(_: object, matrix: Sequence[int], vector: Sequence[int], **__: object) -> int:
        return product(matrix, vector)

    aten = torch.ops.aten
    return {
        aten._scaled_dot_product_flash_attention_for_cpu: attention,
        aten.mv: product,
        aten.dot: product,
        aten.addmv: sum_and_product,
    }
