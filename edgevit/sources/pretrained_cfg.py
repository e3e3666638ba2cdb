"""timm's ``pretrained_cfg``, which says how the weights were evaluated: size, and preprocessing.

Where it has other figures for tests (``test_input_size``, ``test_crop_pct``) these count, as in timm's own
``validate.py``: the accuracy that timm publishes is theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, cast, get_args, get_type_hints

from edgevit.errors import UsageError
from edgevit.spec import Preprocessing

DEFAULT_CROP_SHARE = 0.875  # timm's DEFAULT_CROP_PCT
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def evaluated_size(cfg: Mapping[str, object]) -> tuple[int, int, int]:
    """(channels, height, width) that the weights were evaluated at."""
    channels, height, width = cast(
        "tuple[int, int, int]", cfg.get("test_input_size") or cfg.get("input_size") or (3, 224, 224)
    )
    return int(channels), int(height), int(width)


def preprocessing_of(cfg: Mapping[str, object], channels: int, size: tuple[int, int]) -> Preprocessing | None:
    """How a photo becomes an input of ``size`` (height, width), as timm's evaluation transform does it.

    None where the configuration speaks of another number of channels than the network has: then nothing is known.

    Raises:
        UsageError: A kind of crop or of interpolation that there is no name for.
    """
    mean, std = (
        tuple(float(value) for value in cast("tuple[float, ...]", cfg.get(key) or default))
        for key, default in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD))
    )
    if channels not in (1, 3) or len(mean) != channels or len(std) != channels:
        return None
    share = float(cast(float, cfg.get("test_crop_pct") or cfg.get("crop_pct") or DEFAULT_CROP_SHARE))
    height, width = (math.floor(side / share) for side in size)
    return Preprocessing(
        mean=mean,
        std=std,
        resize_px=height if height == width else (height, width),
        crop_px=size,
        crop_mode=cast(Literal["center"], _known("crop_mode", cfg.get("crop_mode") or "center")),
        interpolation=cast(Literal["bicubic"], _known("interpolation", cfg.get("interpolation") or "bicubic")),
        color_order="RGB" if channels == 3 else "gray",
    )


def _known(field: str, word: object) -> str:
    """``word``, which is one of those that ``Preprocessing`` has for ``field``."""
    words = get_args(get_type_hints(Preprocessing)[field])
    if word not in words:
        raise UsageError(f"pretrained_cfg has {field} '{word}': choose from {', '.join(words)}")
    return str(word)
