"""Spares litert-torch a retrace that changes nothing: a fifth of a conversion's time, not one byte of the file.

litert-torch traces a program four times: ``torch.export``, the decompositions before its passes, its canonicalisation
behind the layout pass, the decompositions before lowering. The third inlines the Python functions that the layout pass
put into the graph; the fourth does that as well. In between only three passes look at the graph, so the third may go
where none of them can see a difference:

- ``BuildAtenCompositePass`` looks for operators that become composites. A channels-last convolution hides none of them;
  a channels-last pooling does, and is left to litert-torch.
- ``ReduceViewRankPass`` looks for ``unsqueeze`` beyond four axes.
- ``RemoveNonUserOutputsPass`` drops outputs that are mutations.

The first decompositions cannot be spared: that of ``linear`` asks whether its input is contiguous, which the layout
pass changes (tried: other files for NHWC, ``basic`` and ``none``).

Most operators are lowered by JAX, which sets up an MLIR context with all its dialects for each of them; the text that
it prints is the same from one context for all. litert-torch then carries the text from JAX's StableHLO to its own by
way of bytes that outlive releases, in another such context; of these two releases the one reads what the other prints,
where it is StableHLO and nothing else.

All this was read in one release, so nothing is spared with another one, or if one of the files in question differs.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from export.quick.shared_history import shared_history

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

RELEASES = {"litert-torch": "0.10.0", "litert-converter": "0.5.0", "jax": "0.10.2", "jaxlib": "0.10.2"}
SOURCES = (
    "_convert/core.py",
    "_convert/fx_passes/build_aten_composite_pass.py",
    "_convert/fx_passes/optimize_layout_transposes_pass/layout_rewrite.py",
    "_convert/fx_passes/optimize_layout_transposes_pass/pass_body.py",
    "_convert/fx_passes/optimize_layout_transposes_pass/utils.py",
    "_convert/fx_passes/reduce_view_rank_pass.py",
    "_convert/fx_passes/remove_non_user_outputs_pass.py",
    "backend/export.py",
    "backend/jax_bridge/_wrap.py",
    "fx_infra/_canonicalize_pass.py",
    "fx_infra/_safe_run_decompositions.py",
)
"""The files of ``litert_torch`` that decide what the retrace does and who sees it."""
DIGEST = "7e5bafb65be33fcc09ea378a3da7f5734c8e1d2a253308c49f360f2cefaa30bb"
"""SHA-256 of these files, one behind the other, as they were read."""
_CONVOLUTION = "_aten_convolution_rewriter.<locals>.conv_nhwc"
_NAMED = re.compile(r"\b[a-z_]+\.[a-z_]+")
_NOTES = {"jax.result_info", "mhlo.num_partitions", "mhlo.num_replicas"}  # attributes that say nothing of the function
_MOST_AXES = 4  # ReduceViewRankPass leaves tensors of up to four axes alone


@contextmanager
def quick_conversion() -> Iterator[None]:
    """Let litert-torch convert without the work that is spared while the block runs; whole where ``is_known`` is false.

    The canonicalisation is left out for programs of which ``is_spared`` is true.
    """
    if not is_known():
        yield
        return
    from jax._src.interpreters import mlir
    from litert_torch.backend.jax_bridge import _wrap
    from litert_torch.fx_infra import CanonicalizePass, ExportedProgramPassResult

    whole = CanonicalizePass.call

    def call(self: CanonicalizePass, exported_program: ExportedProgram) -> ExportedProgramPassResult:
        if is_spared(exported_program):
            return ExportedProgramPassResult(exported_program, False)
        return whole(self, exported_program)

    with ExitStack() as undo:
        _replace(CanonicalizePass, "call", call, undo)
        _replace(mlir, "make_ir_context", cache(mlir.make_ir_context), undo)
        _replace(_wrap, "_stablehlo_to_vhlo", _text_where_read(_wrap._stablehlo_to_vhlo), undo)
        undo.enter_context(shared_history())
        yield


def _text_where_read(carried: Callable[[str], bytes]) -> Callable[[str], str | bytes]:
    """The text of JAX's StableHLO as it is where litert-torch can read it, else what ``carried`` makes of it."""

    def text_or_bytes(text: str) -> str | bytes:
        from litert_converter.mlir import ir  # type: ignore[import-untyped]

        if not is_stablehlo(text):
            return carried(text)
        try:
            ir.Module.parse(text)
        except ir.MLIRError:
            return carried(text)
        return text

    return text_or_bytes


def is_stablehlo(text: str) -> bool:
    """Whether a module in MLIR's text names nothing but functions, StableHLO, and JAX's notes."""
    return all(name.startswith(("func.", "stablehlo.")) for name in {*_NAMED.findall(text)} - _NOTES)


def _replace(owner: object, name: str, replacement: object, undo: ExitStack) -> None:
    undo.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, replacement)


def is_known() -> bool:
    """Whether the installed litert-torch and JAX are those that were read."""
    import litert_torch

    root = Path(litert_torch.__file__).parent
    found = hashlib.sha256(b"".join((root / name).read_bytes() for name in SOURCES)).hexdigest()
    return found == DIGEST and all(version(package) == release for package, release in RELEASES.items())


def is_spared(exported_program: ExportedProgram) -> bool:
    """Whether no pass behind the canonicalisation can tell if ``exported_program`` went through it."""
    signature = exported_program.graph_signature
    mutations = (signature.buffers_to_mutate, signature.parameters_to_mutate, signature.user_inputs_to_mutate)
    return not any(mutations) and all(_is_plain(node) for node in exported_program.graph.nodes)


def _is_plain(node: Node) -> bool:
    import torch
    from litert_torch._convert.fx_passes.optimize_layout_transposes_pass import layout_rewrite, utils

    if node.op in {"placeholder", "output"}:
        return True
    if node.op != "call_function":
        return False
    if node.target is torch.ops.aten.unsqueeze.default:
        return bool(node.meta["val"].dim() <= _MOST_AXES)
    if isinstance(node.target, torch._ops.OpOverload):
        return True
    if node.target in {operator.getitem, utils.tensor_to_nchw, utils.tensor_to_nhwc}:
        return True
    place = (getattr(node.target, "__module__", None), getattr(node.target, "__qualname__", None))
    return place == (layout_rewrite.__name__, _CONVOLUTION)
