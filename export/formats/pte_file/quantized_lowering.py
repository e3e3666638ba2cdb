"""``quantized_lowering``: ExecuTorch's lowering to XNNPACK for graphs in which int8 products stand among float calls.

Only products become int8 (``products_only``): the stock partitioner also takes a slice, a sum or a clamp between two
roundings as an int8 call, and XNNPACK refuses a slice at load if its scales differ, which nothing checks before.

The pass that lays images out (``ChannelsLastTaggedReshapePass``) has two faults with rounded values. For one with a
dynamic range it walks up to the *input of the network* and lays that out, or puts a copy between the rounding and a
linear layer, which then is no int8 product: "required rank 4 tensor", "Weight and Input should both be quantized". A
widened value that float calls read is rounded again behind the copy, without a shape, and the next change of layout
fails: "non-NHWC compatible node". Here the float value in front of a rounding is laid out, and the one behind a
widening. This rests on how that version works inside: beside any other the stock pass runs, which fails as it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast
from unittest import mock

from export.quick.known_sources import are_known

if TYPE_CHECKING:
    from executorch.backends.xnnpack._passes.channels_last_tagged_reshape_pass import ChannelsLastTaggedReshapePass
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from torch.fx import GraphModule, Node

_PASS = "executorch.backends.xnnpack._passes.channels_last_tagged_reshape_pass.ChannelsLastTaggedReshapePass."
_COPY = "insert_copy_and_assign_partner_nodes_quantization_sensitive"
TRIED_WITH = {"executorch": "1.4.1"}
SOURCES = {
    _PASS + "input_to_nhwc": "903b8cf01c0c3451933dff6cd962b059",
    _PASS + "input_to_nchw": "074de2746b491fbc0202e7fb4ceb06ef",
    _PASS + _COPY: "8c809bd9d9fe5d7cd725fa43675d3d8e",
}
"""What is replaced, as ``export.quick.known_sources`` has it."""

LayOut = Callable[["ChannelsLastTaggedReshapePass", "GraphModule", "Node", "Node"], None]
Copy = Callable[["ChannelsLastTaggedReshapePass", "GraphModule", "Node", "Node", "Node"], None]


def products_only() -> XnnpackPartitioner:
    """XNNPACK's partitioner, with products and convolutions as the only calls that may become int8."""
    from executorch.backends.xnnpack.partition.config.gemm_configs import GEMMConfig
    from executorch.backends.xnnpack.partition.config.xnnpack_config import ConfigPrecisionType
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    partitioner = XnnpackPartitioner()
    for config in partitioner.target_partitioner_configs.values():
        if not isinstance(config, GEMMConfig) and ConfigPrecisionType.FP32 in config.supported_precision_types():
            config.set_enabled_precision_types([ConfigPrecisionType.FP32])
    return partitioner


@contextmanager
def quantized_lowering() -> Iterator[bool]:
    """Lay out float values only while the block runs; yields False, and does nothing, beside others than tried with."""
    if not are_known(TRIED_WITH, SOURCES):
        yield False
        return
    from executorch.backends.xnnpack._passes.channels_last_tagged_reshape_pass import ChannelsLastTaggedReshapePass

    stock = ChannelsLastTaggedReshapePass
    with (
        mock.patch.object(stock, "input_to_nhwc", _before_rounding(stock.input_to_nhwc, stock.is_nhwc_node)),
        mock.patch.object(stock, "input_to_nchw", _before_rounding(stock.input_to_nchw, stock.is_nchw_node)),
        mock.patch.object(stock, _COPY, _behind_widening(getattr(stock, _COPY))),
    ):
        yield True


def _before_rounding(lay_out: LayOut, is_laid_out: Callable[[Node], bool]) -> LayOut:
    """``lay_out``, but for a value with a dynamic range what it was rounded from."""

    def input_to(self: ChannelsLastTaggedReshapePass, module: GraphModule, source: Node, target: Node) -> None:
        from executorch.backends.xnnpack.utils.quant_utils import is_dynamic_qdq
        from torch.fx import Node

        rounding = source.args[0] if source.args else None
        if not is_dynamic_qdq(source) or not isinstance(rounding, Node):
            lay_out(self, module, source, target)
        elif not is_laid_out(source) and isinstance(wide := rounding.args[0], Node):
            lay_out(self, module, wide, rounding)
            # what is read by the rounding alone would be written as int8 itself
            _measuring(rounding).replace_input_with(wide, cast("Node", rounding.args[0]))

    return input_to


def _measuring(rounding: Node) -> Node:
    """The call that takes the range of what ``rounding`` rounds: scale and zero point are its two results."""
    return cast("Node", cast("Node", rounding.args[1]).args[0])


def _behind_widening(copy: Copy) -> Copy:
    """``copy``, but a plain one of a widened value that float calls read."""

    def insert_copy(
        self: ChannelsLastTaggedReshapePass,
        graph_module: GraphModule,
        original_input: Node,
        copy_node: Node,
        target_node: Node,
    ) -> None:  # called by these names
        from executorch.backends.xnnpack.utils.quant_utils import is_dequant, is_tagged_as_implicit_q_dq

        if is_dequant(original_input) and not is_tagged_as_implicit_q_dq(original_input):
            target_node.replace_input_with(original_input, copy_node)
            self.make_partners(original_input, copy_node)
        else:
            copy(self, graph_module, original_input, copy_node, target_node)

    return insert_copy
