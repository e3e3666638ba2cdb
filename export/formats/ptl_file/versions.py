"""Which PyTorch Mobile runs which ``.ptl`` file, and which operators no stock build of it has."""

from __future__ import annotations

from collections.abc import Iterable

# The bytecodes that torch 2.13 can write beside its own, 8: its backport goes down to 4.
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
# The last stock build is pytorch_android_lite 2.1.0: it cannot have what torch gained later.
LAST_MOBILE = "2.1"
TOO_YOUNG = frozenset({"aten::rms_norm", "aten::_safe_softmax", "aten::_fused_rms_norm"})

# What reaches beyond the tensors of one call, by the reason for refusing it. From the schemas of torch 2.13: operators
# that take a file name, a storage or a generator, those that print, and those that call other machines. Names without
# their trailing underscore.
BEYOND_TENSORS = {
    "it opens files": ("aten::from_file", "aten::save"),
    "it replaces a tensor's memory": ("aten::set", "aten::set_data", "inductor::resize_storage_bytes"),
    "it calls other processes": ("prim::rpc_async", "prim::rpc_remote", "prim::rpc_sync"),
    "it changes settings of the process": ("aten::set_grad_enabled", "aten::_cufft_set_plan_cache_max_size"),
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
_REASONS = {name: why for why, names in BEYOND_TENSORS.items() for name in names}


def base_name(operator: str) -> str:
    """An operator's name without its overload: ``aten::mean`` of ``aten::mean.dim``."""
    return operator.partition(".")[0]


def since(operator: str) -> str | None:
    """First PyTorch Mobile that has ``operator``; None where every one that reads our bytecodes has it."""
    return SINCE.get(base_name(operator))


def lowest_mobile(bytecode: int, operators: Iterable[str]) -> str:
    """First PyTorch Mobile that accepts files of this bytecode and has these operators."""
    needed = [MOBILE_BY_BYTECODE.get(bytecode, LAST_MOBILE), *filter(None, map(since, operators))]
    return max(needed, key=lambda release: [int(part) for part in release.split(".")])


def why_not_standard(operator: str) -> str | None:
    """Why the stock mobile runtime does not run ``operator``, or must not be asked to; None if it may."""
    base = base_name(operator)
    if base.partition("::")[0] not in STOCK_NAMESPACES:
        return f"a custom operator: the stock mobile runtime has only {', '.join(sorted(STOCK_NAMESPACES))}"
    if beyond := _REASONS.get(base.removesuffix("_")):
        return f"{beyond}: a network computes on tensors only"
    return f"younger than the last stock mobile runtime ({LAST_MOBILE}.0)" if base in TOO_YOUNG else None
