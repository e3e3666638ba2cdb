"""timm's configurations as sizes and preprocessing, held against timm's own ``resolve_data_config``."""

from __future__ import annotations

import torchvision_operators  # noqa: F401

# isort: split
import math

import pytest
from timm.data import resolve_data_config
from timm.models import get_pretrained_cfg, list_pretrained

from edgevit.errors import UsageError
from edgevit.sources.pretrained_cfg import evaluated_size, preprocessing_of
from edgevit.spec import Preprocessing


def test_every_configuration_of_timm_is_as_its_validation_resolves_it() -> None:
    checked = 0
    for name in list_pretrained():
        cfg = get_pretrained_cfg(name).to_dict()
        expected = resolve_data_config(pretrained_cfg=cfg, use_test_size=True)
        channels, height, width = evaluated_size(cfg)
        assert (channels, height, width) == tuple(expected["input_size"]), name
        found = preprocessing_of(cfg, channels, (height, width))
        if channels != 3:
            continue
        assert found is not None, name
        assert (found.mean, found.std) == (tuple(expected["mean"]), tuple(expected["std"])), name
        assert (found.interpolation, found.crop_mode) == (expected["interpolation"], expected["crop_mode"]), name
        sides = found.resize_px if isinstance(found.resize_px, tuple) else (found.resize_px, found.resize_px)
        assert sides == tuple(math.floor(side / expected["crop_pct"]) for side in (height, width)), name
        checked += 1
    assert checked > 1000


def test_defaults_and_what_nothing_is_known_of() -> None:
    assert evaluated_size({}) == (3, 224, 224)
    assert evaluated_size({"input_size": (1, 32, 48)}) == (1, 32, 48)
    assert preprocessing_of({}, 3, (224, 224)) == Preprocessing(
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize_px=256, crop_px=(224, 224)
    )
    assert preprocessing_of({}, 4, (224, 224)) is None
    grey = preprocessing_of({"mean": (0.5,), "std": (0.5,), "crop_pct": 1.0}, 1, (28, 32))
    assert grey is not None and (grey.color_order, grey.resize_px) == ("gray", (28, 32))


@pytest.mark.parametrize(("field", "word"), [("crop_mode", "five"), ("interpolation", "random")])
def test_words_that_there_are_not(field: str, word: str) -> None:
    with pytest.raises(UsageError, match=f"pretrained_cfg has {field} '{word}'"):
        preprocessing_of({field: word}, 3, (8, 8))
