"""How each format's runtime likes its int8: one row a format and way, with what was measured behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from export.int8.record import LayerKind, Scheme
from export.recipe import Format


@dataclass(frozen=True)
class FormatSchemes:
    """The schemes of one format.

    Attributes:
        dynamic: By kind of layer, its scheme when there are no images; kinds that are not named stay float.
        static: The same with images, best first: a layer whose output would lose too much takes the next one.
        per_row: Whether a dynamic range is taken for each row of an activation, or for the whole of it.
        rounded_outputs: The kinds whose output is rounded to int8 too where they are static; others' leaves in float32.
        alone: Kinds that are static in chains (``clamps.in_chains``), and elsewhere only with so many multiply-adds for
            each element that they read or give, since roundings and changes of layout cost by the element.
        through_views: Whether what passes from one to the next of a chain stays int8 through views too.
        images_alone: Whether only convolutions of images are static, not those of rows and volumes.
        folds_norms: Whether the converter folds a batch norm that the passes have left into the convolution before it,
            whose output then has another range.
    """

    dynamic: Mapping[LayerKind, Scheme]
    static: Mapping[LayerKind, tuple[Scheme, ...]]
    per_row: bool = False
    rounded_outputs: frozenset[LayerKind] = frozenset(LayerKind)
    alone: Mapping[LayerKind, float] = field(default_factory=dict)
    through_views: bool = False
    images_alone: bool = False
    folds_norms: bool = False


_STATIC_FIRST = (Scheme.STATIC, Scheme.DYNAMIC)

_ONNX_SMALL = dict.fromkeys((LayerKind.CONV, LayerKind.GROUPED, LayerKind.TRANSPOSED), Scheme.WEIGHTS)
_PTL_STORED = dict.fromkeys(
    (LayerKind.CONV, LayerKind.DEPTHWISE, LayerKind.GROUPED, LayerKind.TRANSPOSED), Scheme.WEIGHTS
)

SCHEMES: dict[Format, FormatSchemes] = {
    # XNNPACK has no depthwise convolution of int8 weights and float activations. Static, it takes it, but gains nothing
    # (MobileNetV2: 0.68 of float32's time with it, 0.64 without; EfficientNet-B0: 0.69 and 0.68) and loses 2 dB there.
    Format.TFLITE: FormatSchemes(
        dynamic={LayerKind.LINEAR: Scheme.DYNAMIC, LayerKind.CONV: Scheme.DYNAMIC},
        static={LayerKind.LINEAR: _STATIC_FIRST, LayerKind.CONV: _STATIC_FIRST},
        per_row=True,
    ),
    # ONNX Runtime takes int8 products with float outputs, but convolutions only with rounded ones (QLinearConv; the
    # dynamic ConvInteger takes 2.4 times its float time), so the pipeline makes products of most. Latency to fp32, one
    # thread: XXS 0.58, S 0.47 in both ways. Static convolutions, each between floats: 0.29 to 0.67 of their float time
    # with 72 and more multiply-adds an element, 0.86 and 1.79 with 20; grouped ones 1.3 to 1.5. In chains they pass
    # int8 on: MobileNetV2 takes 0.51, as products 0.84. Depthwise elsewhere stay float: 0.7 % of all weights, exact.
    Format.ONNX: FormatSchemes(
        dynamic={LayerKind.LINEAR: Scheme.DYNAMIC, **_ONNX_SMALL},
        static={
            LayerKind.LINEAR: _STATIC_FIRST,
            **{kind: (scheme,) for kind, scheme in _ONNX_SMALL.items()},
            LayerKind.CONV: (Scheme.STATIC, Scheme.WEIGHTS),
            LayerKind.DEPTHWISE: (Scheme.STATIC, Scheme.FLOAT),
        },
        rounded_outputs=frozenset((LayerKind.CONV, LayerKind.DEPTHWISE)),
        alone={LayerKind.CONV: 40.0, LayerKind.DEPTHWISE: inf},
        folds_norms=True,
    ),
    # What PyTorch Mobile computes in float is stored in int8 and widened once, when the file is loaded: smaller, and as
    # fast. Static depthwise convolutions gain nothing between floats (EdgeViT-XXS: 0.606 of fp32's latency, 0.611
    # without), and those of torch's FBGEMM overflowed there (17 dB instead of 29); in chains MobileNetV2 takes 0.40 of
    # fp32's latency with them and 0.57 without, and by FBGEMM and QNNPACK gives what it gives by oneDNN.
    Format.PTL: FormatSchemes(
        dynamic={LayerKind.LINEAR: Scheme.DYNAMIC, **_PTL_STORED},
        static={
            LayerKind.LINEAR: _STATIC_FIRST,
            **{kind: (scheme,) for kind, scheme in _PTL_STORED.items()},
            LayerKind.CONV: (Scheme.STATIC, Scheme.WEIGHTS),
            LayerKind.DEPTHWISE: (Scheme.STATIC, Scheme.WEIGHTS),
        },
        alone={LayerKind.DEPTHWISE: inf},
        through_views=True,
        images_alone=True,
    ),
    # XNNPACK, on one thread, the dynamic row: EdgeViT-XXS takes 0.61 of its float time at 34.0 dB. Static: 0.46 at
    # 32.7 dB; with depthwise convolutions 0.48 at 30.0 dB, so they stay float (S: 27.6 and 24.2 dB; EfficientNet-B0
    # gains nothing) but in chains: MobileNetV2 takes 0.52 of its float time with them, 0.59 without, at the same SQNR.
    # Ranges of run time are those of rows for linear layers, else of images.
    Format.PTE: FormatSchemes(
        dynamic=dict.fromkeys((LayerKind.LINEAR, LayerKind.CONV, LayerKind.GROUPED), Scheme.DYNAMIC),
        static={
            **dict.fromkeys((LayerKind.LINEAR, LayerKind.CONV, LayerKind.GROUPED), _STATIC_FIRST),
            LayerKind.DEPTHWISE: (Scheme.STATIC, Scheme.FLOAT),
        },
        per_row=True,
        alone={LayerKind.DEPTHWISE: inf},
    ),
}
