"""What a model is called, which sizes it takes, how its input is prepared."""

from __future__ import annotations

import pytest
from edgevit_tiny import tiny
from hypothesis import given
from hypothesis import strategies as st

from edgevit.build import build_model
from edgevit.errors import UsageError
from edgevit.network.describe import nearest_sizes, standard_preprocessing

SIZE = (64, 64)


@pytest.mark.parametrize(
    ("request_options", "name"),
    [
        ({"input_size": (64, 96)}, "edgevit-tiny-64x96"),
        ({"task": "features"}, "edgevit-tiny-features-64x64"),
        ({"num_classes": 37, "batch": 8}, "edgevit-tiny-37classes-batch8-64x64"),
        ({"in_channels": 1}, "edgevit-tiny-1ch-64x64"),
        ({"delegate": "avg", "propagation": "bilinear"}, "edgevit-tiny-avg-delegates-bilinear-propagation-64x64"),
        ({"propagation": "none", "aggregation": False}, "edgevit-tiny-no-propagation-no-aggregation-64x64"),
    ],
)
def test_names_tell_models_apart(request_options: dict[str, object], name: str) -> None:
    _, spec = build_model(tiny(), **({"input_size": SIZE} | request_options))  # type: ignore[arg-type]
    assert spec.name == name


def test_preprocessing_only_where_it_is_known() -> None:
    assert build_model(tiny(), input_size=SIZE, in_channels=1)[1].preprocessing is None
    given_gray = standard_preprocessing(SIZE, mean=(0.5,), std=(0.25,))
    assert given_gray.color_order == "gray"
    spec = build_model(tiny(), input_size=SIZE, in_channels=1, preprocessing=given_gray)[1]
    assert spec.preprocessing == given_gray


def test_the_crop_fits_into_the_resized_photo() -> None:
    for size in ((224, 224), (256, 512), (800, 640), (32, 32)):
        ready = standard_preprocessing(size)
        assert ready.crop_px == size
        assert ready.resize_px >= max(size)


@pytest.mark.parametrize(
    ("size", "words", "hint"),
    [
        ((225, 224), "nearest valid sizes are 224x224, 256x224", "--input-size 256x224"),
        ((230, 300), "224x288, 224x320, 256x288, 256x320", "--input-size 256x320"),
        ((0, 64), "nearest valid sizes are 32x64", "--input-size 32x64"),
        ((-5, 64), "nearest valid sizes are 32x64", "--input-size 32x64"),
        ((31, 33), "32x32, 32x64", "--input-size 32x64"),
    ],
)
def test_sizes_that_do_not_fit(size: tuple[int, int], words: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"both must be multiples of 32.*{words}") as caught:
        build_model("xxs", input_size=size)
    assert caught.value.hint == hint


@given(side=st.integers(-1000, 100000), multiple=st.integers(1, 256))
def test_nearest_sizes_are_valid_and_near(side: int, multiple: int) -> None:
    near = nearest_sizes(side, multiple)
    assert all(size > 0 and size % multiple == 0 for size in near)
    if side > 0:
        assert all(abs(size - side) < multiple for size in near)


def test_labels_stand_in_the_spec() -> None:
    _, spec = build_model(tiny(), input_size=SIZE, num_classes=2, labels=["cat", "dog"])
    assert spec.labels == ("cat", "dog")
