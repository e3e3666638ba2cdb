"""Weights in half precision inside the delegate, with everything computed in float32.

XNNPACK packs the weights of a layer when the file is loaded, and has packing that widens half precision for linear
layers and all convolutions (``f32_f16``): half the bytes in the file, the speed of float32, 66 dB. ExecuTorch's
serialiser widens them before it writes them, so while it runs it is told not to. A convolution takes weights and bias
in the same precision: weights in half beside a bias in float32 are wrong without an error, or refused at load. A whole
network computed in half precision took 4.5 times as long on x86-64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast
from unittest import mock

if TYPE_CHECKING:
    from executorch.backends.xnnpack.operators.node_visitor import NodeVisitor
    from torch.export import ExportedProgram
    from torch.fx import Node


@contextmanager
def half_weights() -> Iterator[None]:
    """Let XNNPACK's serialiser write weights in half precision while the block runs."""
    from executorch.backends.xnnpack.operators.node_visitor import NodeVisitor

    with mock.patch.object(NodeVisitor, "define_tensor", _narrowed(NodeVisitor.define_tensor)):
        yield


def _narrowed(define: Callable[..., None]) -> Callable[..., None]:
    known: dict[ExportedProgram, set[Node]] = {}

    def define_tensor(self: NodeVisitor, tensor: Node, *args: object, **options: object) -> None:
        program = self.exported_program
        if program not in known:
            known[program] = {held for layer in _layers(program) for held in _constants(layer)}
        if tensor in known[program]:
            known[program].remove(tensor)  # it is defined once
            _narrow(program, tensor)
            options["force_fp32"] = False
        define(self, tensor, *args, **options)

    return define_tensor


def _layers(program: ExportedProgram) -> set[Node]:
    """The layers whose constants can be in half precision; whatever else reads one of them keeps it from that."""
    layers = {node for node in program.graph.nodes if _constants(node)}
    while wrong := {layer for layer in layers if not all(_fits(program, held, layers) for held in _constants(layer))}:
        layers -= wrong
    return layers


def _constants(node: Node) -> tuple[Node, ...]:
    """What a layer that XNNPACK has in half precision holds in it: weights, and the bias of a convolution."""
    name = str(getattr(node.target, "__name__", ""))
    if name == "aten.linear.default":
        return cast("tuple[Node, ...]", node.args[1:2])
    if name != "aten.convolution.default":
        return ()
    return tuple(held for held in cast("tuple[Node | None, ...]", node.args[1:3]) if held is not None)


def _fits(program: ExportedProgram, held: Node, layers: set[Node]) -> bool:
    from executorch.backends.xnnpack.utils.utils import get_param_tensor, is_param_node

    if not is_param_node(program, held) or not all(user in layers and held in _constants(user) for user in held.users):
        return False
    tensor = get_param_tensor(program, held)
    return bool(tensor.half().isfinite().all())


def _narrow(program: ExportedProgram, held: Node) -> None:
    """Let the constant ``held`` of ``program`` be in half precision."""
    from executorch.backends.xnnpack.utils.utils import get_tensor_name

    name = get_tensor_name(program, held)
    store = program.state_dict if name in program.state_dict else program.constants
    store[name] = store[name].half()
    held.meta["val"] = held.meta["val"].half()
