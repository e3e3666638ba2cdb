"""Lets timm be imported beside a torch for which torchvision's compiled part was not built.

On such a machine ``import torchvision`` ends with "operator torchvision::nms does not exist", whichever version is
installed: its C++ library wants another torch. timm imports torchvision for transforms and a few layers, none of which
these tests run, so the two operators whose shapes torchvision registers at import are declared here, without a kernel.
Where torchvision works this does nothing.

Tests import this module; for commands in processes of their own, ``torchvision_here`` goes onto ``PYTHONPATH``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept: list[object] = []


class BeforeTorchvision(MetaPathFinder):
    """Declares the operators when torchvision is first imported, and lets the others find it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "torchvision._meta_registrations":
            declare()


def declare() -> None:
    """Declare what torchvision's compiled part, if it was loaded, has not declared."""
    import torch

    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for schema in OPERATORS:
            library.define(schema)
        _kept.append(library)


def install() -> None:
    """Put the finder first, once."""
    if not any(type(finder).__name__ == BeforeTorchvision.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, BeforeTorchvision())


install()
