"""int8 between changes of layout, where the stock lowering fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from unittest import mock

import pytest
import torch
from pass_rig import captured
from pte_plans import planned
from torch import Tensor, nn

from edgevit.errors import ExportError
from export.formats.pte_file import quantized_lowering
from export.formats.pte_file.contents import parse
from export.formats.pte_file.write import write
from export.int8.record import Scheme
from export.pipeline import optimize
from export.quick.known_sources import are_known
from export.quiet import quiet
from export.recipe import Format, Precision, Recipe
from runtimes.sessions.table import open_session
from validation.artifact.agreement import sqnr_db_of

INT8 = Recipe(format=Format.PTE, precision=Precision.INT8)


class TokensAsImage(nn.Module):
    """A convolution over what a linear layer gives, with its channels last and with its tokens as channels."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.image, self.mixed = nn.Linear(12, 16), nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(64, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokens(x)
        return self.image(tokens.view(1, 8, 8, 16).permute(0, 3, 1, 2)).mean((2, 3)) + self.mixed(
            tokens.view(1, 64, 4, 4)
        ).mean((2, 3))


class Halves(nn.Module):
    """Two convolutions that read a half of the channels each: of two ranges, in the codes of one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = nn.Conv2d(3, 16, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.stem(x).split(8, 1)
        return self.left(left) + self.right(right * 5)


def lower(network: nn.Module, shape: tuple[int, ...], scheme: Scheme, path: Path) -> float:
    """SQNR in dB of the file, which is one piece."""
    torch.manual_seed(0)
    network = network.eval().requires_grad_(False)
    images = torch.randn(16, *shape[1:])
    program = planned(optimize(captured(network, shape, torch.float32), INT8), scheme, images)
    with quiet():
        write(program, INT8, path)
    assert len(parse(path).partitions) == 1
    with closing(open_session(path, Format.PTE)) as session:
        answers = [session.run({"x": image[None].numpy()})["y"] for image in images]
    wanted = torch.cat([network(image[None]) for image in images]).numpy()
    return sqnr_db_of(torch.cat([*map(torch.from_numpy, answers)]).numpy(), wanted)


@pytest.mark.parametrize("scheme", [Scheme.DYNAMIC, Scheme.STATIC])
@pytest.mark.parametrize(("network", "shape"), [(TokensAsImage, (1, 64, 12)), (Halves, (1, 3, 10, 8))])
def test_layouts_change_between_int8_products(
    network: Callable[[], nn.Module], shape: tuple[int, ...], scheme: Scheme, tmp_path: Path
) -> None:
    assert lower(network(), shape, scheme, tmp_path / "m.pte") > 30


def test_the_stock_pass_still_has_the_fault(tmp_path: Path) -> None:
    """Else there is nothing to be replaced any more."""
    stock: Callable[[], AbstractContextManager[None]] = nullcontext
    with (
        mock.patch("export.formats.pte_file.write.quantized_lowering", stock),
        pytest.raises(ExportError, match="required rank 4 tensor to use channels_last format"),
    ):
        lower(TokensAsImage(), (1, 64, 12), Scheme.DYNAMIC, tmp_path / "m.pte")


def test_it_was_tried_with_what_is_installed() -> None:
    assert are_known(quantized_lowering.TRIED_WITH, quantized_lowering.SOURCES)


def test_beside_other_packages_it_stands_aside() -> None:
    from executorch.backends.xnnpack._passes.channels_last_tagged_reshape_pass import ChannelsLastTaggedReshapePass

    stock = ChannelsLastTaggedReshapePass.input_to_nhwc
    with quantized_lowering.quantized_lowering() as is_known:
        assert is_known
        assert ChannelsLastTaggedReshapePass.input_to_nhwc is not stock
    with (
        mock.patch.dict(quantized_lowering.TRIED_WITH, executorch="0"),
        quantized_lowering.quantized_lowering() as is_known,
    ):
        assert not is_known
        assert ChannelsLastTaggedReshapePass.input_to_nhwc is stock
