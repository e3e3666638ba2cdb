"""Compute the same thing once.

Needs: a graph without random or in-place calls between the duplicates (such calls are never merged).
Guarantees: calls of the same operator on the same arguments are one call, constants of equal value are one constant.
"""

from __future__ import annotations

import torch
from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor


def run(editor: GraphEditor) -> PassLog:
    """Merge constants, then calls from the inputs on."""
    constants = _merge_constants(editor)
    seen: dict[object, Node] = {}
    merged = 0
    for node in editor.nodes():
        key = _key(node)
        if key is None or node.is_impure():
            continue
        first = seen.setdefault(key, node)
        if first is not node:
            editor.replace(node, first)
            merged += 1
    detail = f"{merged} calls, {constants} constants"
    return PassLog(name="merge_duplicates", rewrites=merged + constants, detail=detail)


def _merge_constants(editor: GraphEditor) -> int:
    seen: dict[object, Node] = {}
    merged = 0
    for node in list(editor.graph.nodes):
        tensor = editor.constant(node)
        if tensor is None or tensor.numel() == 0:
            continue
        key = (tuple(tensor.shape), tensor.dtype, hash(tensor.cpu().contiguous().numpy().tobytes()))
        first = seen.setdefault(key, node)
        other = editor.constant(first)
        if first is not node and other is not None and torch.equal(other, tensor):
            editor.replace(node, first)
            merged += 1
    return merged


def _key(node: Node) -> object:
    try:
        key = (node.target, _freeze(node.args), _freeze(node.kwargs))
        hash(key)
    except TypeError:
        return None
    return key


def _freeze(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(item) for item in value)
    if isinstance(value, dict):
        return tuple(sorted((key, _freeze(item)) for key, item in value.items()))
    if isinstance(value, (bool, int, float)):
        return type(value).__name__, repr(value)  # 0.0 and -0.0 are equal, and 1 / x tells them apart
    return value
