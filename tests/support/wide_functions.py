"""Functions of ``torch`` and ``torch.nn.functional``, and inputs far outside of what golden sets hold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

SHAPE = (1, 4, 8, 12)
SCALES = (1.0, 30.0, 100.0, 1e4)
PLACES = torch.tensor([0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 1.0, -1.0, 2.0, -3.0])
"""Where functions are rounded, cut or joined."""
SLOPES, STEPS = torch.tensor([-0.5, 0.25, 0.0, 1.5]), torch.tensor([0.3, -0.7, 1.0, -3.0]).reshape(4, 1, 1)
EYE = torch.eye(4).reshape(4, 4, 1, 1)
TINY = 1e-6
Function = Callable[[Tensor, Tensor], Tensor]


def inputs(scale: float) -> tuple[Tensor, Tensor]:
    """Two images of normal values times ``scale``, with zeros of both signs, equal values and ``PLACES``."""
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(SHAPE, generator=generator) * scale for _ in range(2))
    x.view(-1)[:5] = torch.tensor([0.0, -0.0, 0.0, -0.0, 0.0])
    y.view(-1)[1:8] = torch.tensor([0.0, 0.0, -0.0, 2.0, -0.0, 0.0, -0.0])
    for tensor in (x, y):
        tensor.view(-1)[30:40] = PLACES
    y.view(-1)[50:60] = x.view(-1)[50:60]
    return x, y


def _bounded(x: Tensor) -> Tensor:
    return x.clamp(-9e4, 9e4).int()


def _of_one(**functions: Callable[[Tensor], Tensor]) -> dict[str, Function]:
    return {name: lambda x, y, function=function: function(x) for name, function in functions.items()}  # type: ignore[misc]


def _behind_convolution(function: Callable[[Tensor], Tensor]) -> Function:
    return lambda x, y: function(F.conv2d(x, EYE.repeat(1, 1, 3, 3).to(x.dtype), padding=1))


FUNCTIONS: dict[str, Function] = {}
NAMED = (
    "logsigmoid", "softplus", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "hardshrink",
    "softshrink", "tanhshrink", "softsign", "relu", "relu6", "leaky_relu", "rrelu",
)  # fmt: skip
OF_TORCH = (
    "sigmoid", "tanh", "erf", "exp", "log", "log2", "log10", "log1p", "sqrt", "reciprocal", "tan", "sin", "cos", "asin",
    "acos", "atan", "logit", "round", "floor", "ceil", "sign", "abs", "square",
)  # fmt: skip
FUNCTIONS |= _of_one(**{name: getattr(F, name) for name in NAMED}, **{name: getattr(torch, name) for name in OF_TORCH})
LACKING = (
    "erfc", "exp2", "expm1", "sinh", "cosh", "asinh", "acosh", "atanh", "sinc", "trunc", "frac", "logcumsumexp",
)  # fmt: skip
"""What at least one format is refused for."""
FUNCTIONS |= _of_one(
    **{name: getattr(torch, name) for name in LACKING if name != "logcumsumexp"},
    logcumsumexp=lambda x: x.logcumsumexp(-1),
)
FUNCTIONS |= _of_one(
    softplus_steep=lambda x: F.softplus(x, 3, 5),
    softplus_early=lambda x: F.softplus(x, 1, 2),
    softplus_turned=lambda x: F.softplus(x, -1, 20),
    elu_wide=lambda x: F.elu(x, 2.5),
    celu_narrow=lambda x: F.celu(x, 0.5),
    gelu_tanh=lambda x: F.gelu(x, approximate="tanh"),
    leaky_turned=lambda x: F.leaky_relu(x, -0.5),
    prelu=lambda x: F.prelu(x, SLOPES.to(x.dtype)),
    threshold=lambda x: F.threshold(x, -1, -30),
    hardtanh=lambda x: F.hardtanh(x, -2, 0.5),
    glu=lambda x: F.glu(x, 1),
    log1p_of_little=lambda x: torch.log1p(x * TINY) / TINY,
    log1p_of_size=lambda x: torch.log1p(x.abs()),
    tanh_of_little=lambda x: torch.tanh(x * TINY) / TINY,
    erf_of_little=lambda x: torch.erf(x * TINY) / TINY,
    sin_of_little=lambda x: torch.sin(x * TINY) / TINY,
    expm1_of_little=lambda x: torch.expm1(x * TINY) / TINY,
    logit_cut=lambda x: torch.logit(torch.sigmoid(x), 1e-3),
    softmax=lambda x: x.softmax(1),
    softmax_masked=lambda x: x.masked_fill(x < 0, -torch.inf).softmax(-1),
    log_softmax=lambda x: F.log_softmax(x, 1),
    log_of_softmax=lambda x: x.softmax(1).log(),
    log_of_sigmoid=lambda x: (x.sigmoid() + 1e-9).log(),
    softmin=lambda x: F.softmin(x, -1),
    logsumexp=lambda x: x.logsumexp(1),
    normalize=lambda x: F.normalize(x, dim=1),
    norm=lambda x: x.norm(dim=1),
    norm_1=lambda x: x.norm(p=1, dim=1),
    norm_3=lambda x: x.norm(p=3, dim=1),
    std=lambda x: x.std(1),
    var=lambda x: x.var((2, 3), unbiased=False),
    var_far=lambda x: (x + 100).var(-1),
    cumsum=lambda x: x.cumsum(-1),
    prod=lambda x: x.prod(1),
    maximum=lambda x: x.max(1)[0],
    minimum=lambda x: x.min(-1, keepdim=True)[0],
    argmax=lambda x: x.sign().argmax(1).float(),
    layer_norm=lambda x: F.layer_norm(x, (12,)),
    layer_norm_far=lambda x: F.layer_norm(x + 50, (12,)),
    group_norm=lambda x: F.group_norm(x, 2),
    instance_norm=F.instance_norm,
    rms_norm=lambda x: F.rms_norm(x, (12,)),
    local_response_norm=lambda x: F.local_response_norm(x, 3),
    lp_pool=lambda x: F.lp_pool2d(x, 2, 2),
    max_pool=lambda x: F.max_pool2d(x, 2),
    round_halves=lambda x: torch.round(x.floor() + 0.5),
    power=lambda x: x**3,
    root=lambda x: x.abs() ** 0.37,
    inverse_square=lambda x: (x.abs() + 0.1) ** -2,
    exponent=lambda x: 2.0 ** (x * 1e-3),
    clamp=lambda x: x.clamp(-1, 3.5),
    clamp_crossed=lambda x: x.clamp(2, -2),
    clamp_by_tensors=lambda x: x.clamp(STEPS.to(x.dtype), STEPS.to(x.dtype) + 1),
    clamps=lambda x: F.relu6(x).clamp(-1, 3.5).clamp(min=0.25),
    cast=lambda x: x.int().float(),
    compared=lambda x: torch.where(x >= 0, x, (x <= -1).float()),
    nan_replaced=lambda x: torch.nan_to_num(x / x.relu(), nan=1.0, posinf=2.0, neginf=-3.0),
)
BEHIND = (
    "relu6", "clamp", "clamps", "clamp_crossed", "hardtanh", "hardswish", "hardsigmoid", "silu", "leaky_turned",
    "logsigmoid", "softplus_steep", "max_pool",
)  # fmt: skip
FUNCTIONS |= {f"conv {name}": _behind_convolution(lambda x, f=FUNCTIONS[name]: f(x, x)) for name in BEHIND}  # type: ignore[misc]
FUNCTIONS |= {
    "conv positive": _behind_convolution(lambda y: y.clamp(min=0.25)),
    "pool positive": lambda x, y: F.max_pool2d(x, 2).clamp(0.25, 2),
    "atan2": torch.atan2,
    "logaddexp": torch.logaddexp,
    "hypot": torch.hypot,
    "xlogy": lambda x, y: torch.xlogy(x, y.abs()),
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
    "maximum of two": torch.maximum,
    "cross entropy": lambda x, y: F.binary_cross_entropy_with_logits(x, y.sigmoid(), reduction="none"),
    "its weights": lambda x, y: F.binary_cross_entropy_with_logits(
        x, y.sigmoid(), STEPS.abs().to(x.dtype), pos_weight=STEPS.abs().to(x.dtype) + 1, reduction="none"
    ),
    "its mean": lambda x, y: F.binary_cross_entropy_with_logits(x, (y > 0).to(x.dtype)).reshape(1),
    "floor_divide": lambda x, y: x // STEPS.to(x.dtype),
    "floor_divide 2": lambda x, y: x // 2,
    "div floor": lambda x, y: torch.div(x, -STEPS.to(x.dtype), rounding_mode="floor"),
    "div trunc": lambda x, y: torch.div(x, STEPS.to(x.dtype), rounding_mode="trunc"),
    "remainder": lambda x, y: torch.remainder(x, STEPS.to(x.dtype)),
    "remainder 1.5": lambda x, y: x % -1.5,
    "fmod": lambda x, y: torch.fmod(x, STEPS.to(x.dtype)),
    "fmod 1.5": lambda x, y: torch.fmod(x, 1.5),
    "whole floor_divide": lambda x, y: (_bounded(x) // 3).float(),
    "whole div floor": lambda x, y: torch.div(_bounded(x), _bounded(y).abs() + 1, rounding_mode="floor").float(),
    "whole div trunc": lambda x, y: torch.div(_bounded(x), -3, rounding_mode="trunc").float(),
    "whole remainder": lambda x, y: (_bounded(x) % 3).float(),
    "whole remainder of two": lambda x, y: (_bounded(x) % -(_bounded(y).abs() + 1)).float(),
    "whole fmod": lambda x, y: torch.fmod(_bounded(x), 3).float(),
    "whole shift": lambda x, y: (_bounded(x) >> 2).float(),
    "pairwise_distance": F.pairwise_distance,
    "cdist": lambda x, y: torch.cdist(x.flatten(2), y.flatten(2)),
    "cosine_similarity": lambda x, y: F.cosine_similarity(x, y, dim=1),
    "attention": lambda x, y: F.scaled_dot_product_attention(x, y, x),
    "attention masked": lambda x, y: F.scaled_dot_product_attention(x, y, x, attn_mask=(x @ y.mT > 0) | (x @ y.mT < 1)),
}
