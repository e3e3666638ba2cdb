"""From what ``torch.export`` gives to a plain module of one flat graph, without guards or unused weights."""

from __future__ import annotations

import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx.graph import CodeGen


def flatten(exported: GraphModule) -> GraphModule:
    """A plain module of the same graph that returns one tensor, or a tuple of them."""
    graph = exported.graph
    while wrapped := [node for node in graph.nodes if _wraps_nothing(node)]:
        for node in wrapped:
            _unwrap(exported, graph, node)
    for node in list(graph.nodes):
        unused_weight = node.op == "get_attr" and not node.users
        is_guard = node.op == "call_module" and node.target == "_guards_fn"
        if unused_weight or is_guard or node.target is torch.ops.aten._assert_tensor_metadata.default:
            graph.erase_node(node)
    output = next(node for node in graph.nodes if node.op == "output")
    results = output.args[0]
    if isinstance(results, tuple | list):
        output.args = (results[0] if len(results) == 1 else tuple(results),)
    graph.set_codegen(CodeGen())
    module = GraphModule(exported, graph)
    module.delete_all_unused_submodules()
    return module.eval()


def _wraps_nothing(node: Node) -> bool:
    """Whether a call runs a part of the graph with gradients on or off, or with autocast off: no difference here."""
    if node.target is torch.ops.higher_order.wrap_with_set_grad_enabled:
        return True
    return node.target is torch.ops.higher_order.wrap_with_autocast and node.args[2] is False


def _unwrap(owner: GraphModule, graph: Graph, call: Node) -> None:
    """Put the calls of a wrapped part in the place of ``call``, whose users take its results by their numbers."""
    place, holder = next((i, arg) for i, arg in enumerate(call.args) if isinstance(arg, Node) and arg.op == "get_attr")
    part = owner.get_submodule(str(holder.target))
    assert isinstance(part, GraphModule)
    given = dict(zip(part.graph.find_nodes(op="placeholder"), call.args[place + 1 :], strict=True))
    with graph.inserting_before(call):
        results = graph.graph_copy(part.graph, given)
    for user in list(call.users):
        several = isinstance(results, tuple | list)
        user.replace_all_uses_with(results[user.args[1]] if several else results)  # type: ignore[index, arg-type]
        graph.erase_node(user)
    graph.erase_node(call)
    if not holder.users:
        graph.erase_node(holder)
