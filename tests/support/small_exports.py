"""The contract of ``small_artifacts.SmallNet`` for exports by the public API."""

from __future__ import annotations

from edgevit.spec import Layout, ModelSpec, Preprocessing, Task, TensorSpec, Weights


def small_spec(batch: int = 1) -> ModelSpec:
    """``small-net``: (batch, 3, 16, 16) to (batch, 7), with a preprocessing, so that photos can be its input."""
    return ModelSpec(
        name="small-net",
        variant="small-net",
        task=Task.CLASSIFY,
        inputs=(TensorSpec(name="image", shape=(batch, 3, 16, 16), layout=Layout.NCHW),),
        outputs=(TensorSpec(name="logits", shape=(batch, 7)),),
        weights=Weights(source="random", seed=0),
        num_classes=7,
        preprocessing=Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3, resize_px=18, crop_px=(16, 16)),
    )
