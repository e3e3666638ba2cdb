"""Readers of what says how a network from elsewhere is made: a hub's configuration, an architecture in a manifest."""

from __future__ import annotations

from fuzz_mutation import Kind
from fuzz_reader import Reader, words

from edgevit.errors import UsageError
from edgevit.sources.hub import read_config
from edgevit.sources.pretrained_cfg import evaluated_size, preprocessing_of
from edgevit.sources.timm_names import describe_architecture, read_architecture

HUB_CONFIGS = (
    '{"architecture": "resnet18", "num_classes": 1000, "pretrained_cfg": {"input_size": [3, 224, 224], '
    '"crop_pct": 0.95, "test_input_size": [3, 288, 288], "test_crop_pct": 1.0, "mean": [0.485, 0.456, 0.406], '
    '"std": [0.229, 0.224, 0.225], "crop_mode": "squash", '
    '"interpolation": "bicubic", "first_conv": "conv1", "classifier": ["head", "head_dist"], '
    '"pool_size": [7, 7], "fixed_input_size": true}, "model_args": {"depth": 2, "embed_dims": [64, 128]}}',
    '{"architecture": "a", "mean": [0.5], "std": [0.5], "input_size": [1, 28, 32], "hf_hub_filename": "w.bin"}',
)


def hub_config_in(text: bytes) -> object:
    """What is made of a repository's configuration before timm sees any of it."""
    cfg, arguments = read_config(text, "owner/name")
    channels, height, width = evaluated_size(cfg)
    return preprocessing_of(cfg, channels, (height, width)), read_architecture(describe_architecture(arguments))


READERS = (
    Reader(
        "hub-config", "config.json of a hub's repository", lambda data, room: hub_config_in(data), (UsageError,),
        words(*HUB_CONFIGS), Kind.JSON,
    ),
    Reader(
        "architecture", "the architecture in a manifest",
        lambda data, room: read_architecture(data.decode("utf-8", "replace")), (UsageError,),
        words('{"depth":2,"embed_dims":[64,128],"drop":0.1,"act":"gelu"}', "{}"), Kind.JSON,
    ),
)  # fmt: skip
