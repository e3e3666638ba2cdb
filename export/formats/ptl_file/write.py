"""TorchScript lite (``.ptl``): trace, freeze, save for PyTorch Mobile's lite interpreter; read a file back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from edgevit.errors import ExportError, UsageError, first_line
from export.artifact import FileFacts, Operator
from export.formats.metadata import INPUTS, OUTPUTS, artifact_metadata, tensor_metadata, tensors_from
from export.formats.ptl_file.archive import canonical, read_archive
from export.program import Program
from export.recipe import Format, Recipe

BYTECODES = (7, 6, 5, 4)

# Lowest PyTorch Mobile that accepts each bytecode: 1.9 says "must be between 3 and 5", 1.10 to 1.12 "3 and 7".
MOBILE_BY_BYTECODE = {3: "1.8", 4: "1.8", 5: "1.9", 6: "1.10", 7: "1.10", 8: "1.13"}

STOCK_NAMESPACES = frozenset({"aten", "prim", "quantized", "prepacked"})

# Operators younger than the oldest runtime above, with the first PyTorch Mobile that has them.
SINCE = {
    "aten::unflatten": "1.13",
    "aten::pixel_unshuffle": "1.9",
    "aten::native_dropout": "1.11",
    "aten::_native_multi_head_attention": "1.12",
    "aten::_transform_bias_rescale_qkv": "1.12",
    "aten::scaled_dot_product_attention": "2.0",
    "aten::_scaled_dot_product_attention": "1.13",
}
# The last stock build, pytorch_android_lite 2.1.0, cannot have what torch gained later.
TOO_YOUNG = frozenset({"aten::rms_norm", "aten::_safe_softmax", "aten::_fused_rms_norm"})

# What reaches beyond the tensors of one call, by the reason for refusing it. From the schemas of torch 2.13: operators
# that take a file name, a storage or a generator, those that print, and those that call other machines. Names without
# their trailing underscore.
BEYOND_TENSORS = {
    "it opens files": ("aten::from_file", "aten::save"),
    "it replaces a tensor's memory": ("aten::set", "aten::set_data", "inductor::resize_storage_bytes"),
    "it calls other processes": ("prim::rpc_async", "prim::rpc_remote", "prim::rpc_sync"),
    "it prints": ("prim::Print", "aten::_print", "aten::warn"),
    "it reads or sets the process's random state": tuple(
        f"aten::{name}"
        for name in (
            "_fused_dropout", "_no_grad_normal", "_no_grad_uniform", "_sample_dirichlet", "_standard_gamma",
            "bernoulli", "binomial", "cauchy", "exponential", "geometric", "initial_seed", "log_normal", "manual_seed",
            "multinomial",
            "normal", "normal_functional", "poisson", "rand", "rand_like", "randint", "randint_like", "randn",
            "randn_like", "random", "randperm", "rrelu", "rrelu_with_noise", "rrelu_with_noise_functional", "seed",
            "uniform",
        )
    ),
}  # fmt: skip
_REFUSED = {name: why for why, names in BEYOND_TENSORS.items() for name in names}

_MODULES = "modules"


def write(program: Program, recipe: Recipe, path: Path) -> None:
    """Write ``program`` as TorchScript lite; equal programs and recipes give equal bytes.

    Raises:
        UsageError: The recipe asks for a bytecode that torch cannot write.
        ExportError: The program cannot be traced or saved.
    """
    check_recipe(recipe)
    version = recipe.ptl_bytecode
    from export.formats.steps import modules_by_operator, trace

    try:
        frozen = trace(program)
        data: bytes = frozen._save_to_buffer_for_lite_interpreter()
        if version is not None:
            data = _backport(data, version)
    except Exception as error:
        raise ExportError(f"cannot write {program.spec.name} as TorchScript lite: {first_line(error)}") from error
    extra = artifact_metadata(program.spec, recipe) | tensor_metadata(program)
    extra[_MODULES] = json.dumps(modules_by_operator(frozen))
    path.write_bytes(canonical(data, extra))


def check_recipe(recipe: Recipe) -> None:
    """Refuse a bytecode that torch cannot write.

    Raises:
        UsageError: Names those that it can.
    """
    version = recipe.ptl_bytecode
    if version is not None and version not in BYTECODES:
        raise UsageError(
            f"bytecode {version} for ptl: choose from {', '.join(map(str, BYTECODES))}, or leave it out",
            hint="--ptl-bytecode 7 suits Android runtimes before 1.13",
        )


def _backport(data: bytes, version: int) -> bytes:
    from torch.jit.mobile import _backport_for_mobile_to_buffer

    with tempfile.NamedTemporaryFile(suffix=".ptl") as file:
        file.write(data)
        file.flush()
        backported: bytes = _backport_for_mobile_to_buffer(file.name, version)  # type: ignore[no-untyped-call]
    return backported


def read(path: Path) -> FileFacts:
    """Read names, shapes, operators and metadata back from the file alone; needs no torch.

    Raises:
        ArtifactError: Not a complete TorchScript-lite file.
    """
    archive = read_archive(path)
    extra = dict(archive.extra_files)
    modules: dict[str, list[str]] = json.loads(extra.pop(_MODULES, "{}"))
    operators = tuple(
        _operator(name, count, modules) for name, count in sorted(archive.calls.items(), key=lambda item: -item[1])
    )
    version = archive.bytecode_version
    needed = [MOBILE_BY_BYTECODE.get(version, "2.1"), *(operator.since or "0" for operator in operators)]
    lowest = max(needed, key=lambda text: tuple(int(part) for part in text.split(".")))
    return FileFacts(
        format=Format.PTL,
        inputs=tensors_from(extra, INPUTS, str(path)),
        outputs=tensors_from(extra, OUTPUTS, str(path)),
        operators=operators,
        requires=f"PyTorch Mobile >= {lowest} (bytecode {version})",
        metadata={**extra, "bytecode": str(version)},
    )


def _operator(name: str, count: int, modules: dict[str, list[str]]) -> Operator:
    base = name.partition(".")[0]
    why_not = None
    if base.partition("::")[0] not in STOCK_NAMESPACES:
        why_not = f"a custom operator: the stock mobile runtime has only {', '.join(sorted(STOCK_NAMESPACES))}"
    elif (beyond := _REFUSED.get(base.removesuffix("_"))) is not None:
        why_not = f"{beyond}: a network computes on tensors only"
    elif base in TOO_YOUNG:
        why_not = "younger than the last stock mobile runtime (2.1.0)"
    return Operator(
        name=name,
        count=count,
        standard=why_not is None,
        why_not=why_not,
        since=SINCE.get(base),
        modules=tuple(modules.get(base, ())),
    )
