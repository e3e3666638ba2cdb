"""What a view shows, and that a new one put back there is what writing into the old one would have left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from export.functional.regions import Chosen, Permuted, Region, Reshaped, Rows, region_of

SIZES = (3, 4, 5)
VIEWS: dict[str, tuple[Callable[[Tensor], Tensor], type[Region]]] = {
    "same": (lambda x: x[:], Reshaped),
    "flat": (lambda x: x.view(12, 5), Reshaped),
    "unsqueezed": (lambda x: x[:, None], Reshaped),
    "transposed": (lambda x: x.transpose(0, 2), Permuted),
    "permuted": (lambda x: x.permute(1, 2, 0), Permuted),
    "first rows": (lambda x: x[:2], Rows),
    "middle columns": (lambda x: x[..., 1:4], Rows),
    "one row": (lambda x: x[:, 2], Rows),
    "every other": (lambda x: x[:, ::2], Rows),
    "backwards": (lambda x: x.flip(1), Rows),
    "diagonal": (lambda x: x.diagonal(), Chosen),
    "corner": (lambda x: x[1:, :2], Chosen),
    "windows": (lambda x: x.unfold(2, 2, 2), Chosen),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_new_view_goes_back_where_the_old_one_was(name: str) -> None:
    view, kind = VIEWS[name]
    region = region_of(view, SIZES)
    assert isinstance(region, kind)
    parent = torch.randn(SIZES, generator=torch.Generator().manual_seed(0))
    part = torch.randn(view(parent).shape, generator=torch.Generator().manual_seed(1))
    places = view(torch.arange(60).reshape(SIZES))
    expected = parent.clone()
    expected.view(-1)[places.flatten()] = part.flatten()
    assert torch.equal(put(region, parent, part), expected)


@pytest.mark.parametrize("view", [lambda x: x[:, :1].expand(3, 4, 5), lambda x: x.unfold(2, 3, 1)])
def test_a_view_that_shows_an_element_twice_has_no_region(view: Callable[[Tensor], Tensor]) -> None:
    assert region_of(view, SIZES) is None


def test_axes_of_equal_and_of_single_size_are_told_apart() -> None:
    for sizes in ((2, 2, 2), (1, 3, 1), (1, 1)):
        for order in ((1, 0), (0, 1)) if len(sizes) == 2 else ((1, 2, 0), (2, 0, 1), (0, 2, 1)):
            region = region_of(lambda x, order=order: x.permute(order), sizes)
            parent = torch.randn(sizes)
            part = torch.randn(sizes).permute(order).contiguous()
            assert region is not None
            assert torch.equal(put(region, parent, part).permute(order), part)


def put(region: Region, parent: Tensor, part: Tensor) -> Tensor:
    """What a graph of the region's calls gives."""
    graph, constants = Graph(), torch.nn.Module()
    nodes = [graph.placeholder("parent"), graph.placeholder("part")]

    def constant(tensor: Tensor, name: str) -> Node:
        constants.register_buffer(name, tensor)
        return graph.get_attr(name)

    graph.output(region.put(*nodes, lambda target, *args: graph.call_function(target, args), constant))
    return GraphModule(constants, graph)(parent, part)
