"""Convolutions as products, but for those that pass int8 from one to the next."""

from __future__ import annotations

import pytest
import torch
from pass_rig import Lambda, apply, calls
from torch import Tensor, nn
from torch.nn import functional

from export.artifact import PassLog
from export.passes import convs_as_products

LINEAR, CONV = torch.ops.aten.linear.default, torch.ops.aten.conv2d.default


def chain_and_others() -> nn.Module:
    """Pointwise - depthwise - pointwise with clamps between, then patches and another pointwise one."""

    def forward(m: nn.ModuleDict, x: Tensor) -> Tensor:
        x = m["narrow"](functional.relu6(m["depthwise"](functional.relu6(m["wide"](x)))))
        answer: Tensor = m["last"](functional.gelu(m["patches"](functional.gelu(x))))
        return answer

    return Lambda(
        forward,
        wide=nn.Conv2d(16, 32, 1),
        depthwise=nn.Conv2d(32, 32, 3, padding=1, groups=32),
        narrow=nn.Conv2d(32, 16, 1),
        patches=nn.Conv2d(16, 8, 2, 2),
        last=nn.Conv2d(8, 4, 1),
    )


@pytest.mark.parametrize(("static", "products"), [(False, 4), (True, 2)])
def test_chains_stay_where_ranges_are_fixed(static: bool, products: int) -> None:
    class Step:
        __name__ = convs_as_products.__name__

        @staticmethod
        def run(editor: object) -> PassLog:
            return convs_as_products.run(editor, static=static)  # type: ignore[arg-type]

    module, log = apply(chain_and_others(), (1, 16, 8, 8), Step)  # type: ignore[arg-type]
    assert (log.name, log.rewrites) == ("convs_as_products", products)
    assert (calls(module, LINEAR), calls(module, CONV)) == (products, 5 - products)
    assert log.detail.startswith(f"{products} convolutions as linear layers, {3 if static else 0} in chains")


def test_what_cannot_be_a_product_is_said() -> None:
    class Step:
        __name__ = convs_as_products.__name__

        @staticmethod
        def run(editor: object) -> PassLog:
            return convs_as_products.run(editor, static=True)  # type: ignore[arg-type]

    log = apply(nn.Conv2d(16, 3, 2, 2), (1, 16, 5, 4), Step)[1]  # type: ignore[arg-type]
    assert [refusal.why for refusal in log.refused] == ["its kernel does not divide the image"]
