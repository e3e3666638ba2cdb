"""A user's configuration: what is valid builds, and what is not is named, all at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevit.build import build_model
from edgevit.errors import UsageError
from edgevit.network.config_file import read_config
from edgevit.network.variants import Delegate, Propagation, VariantConfig

VALID: dict[str, Any] = {"channels": [8, 16, 24, 32], "blocks": [1, 1, 2, 1], "head_dim": 8}


def written(directory: Path, table: object, name: str = "mine.json") -> Path:
    path = directory / name
    path.write_text(json.dumps(table))
    return path


def message(directory: Path, table: object, name: str = "mine.json") -> str:
    with pytest.raises(UsageError) as caught:
        read_config(written(directory, table, name))
    return caught.value.message


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "channels = [8, 16, 24, 32]\nblocks = [1, 1, 2, 1]\nheads = [1, 2, 3, 4]\nffn_ratio = 3\n"
        'sample_rates = [2, 2, 2, 1]\ndelegate = "avg"\npropagation = "bilinear"\naggregation = false\n'
    )
    config = read_config(path)
    assert config == VariantConfig(
        name="mine", channels=(8, 16, 24, 32), blocks=(1, 1, 2, 1), heads=(1, 2, 3, 4), sample_rates=(2, 2, 2, 1),
        ffn_ratios=(3, 3, 3, 3), delegate=Delegate.AVG, propagation=Propagation.BILINEAR, aggregation=False,
        description="user's configuration",
    )  # fmt: skip
    table = VALID | {"heads": [1, 2, 3, 4], "ffn_ratio": [3, 3.0, 3, 3], "sample_rates": [2, 2, 2, 1],
                     "delegate": "avg", "propagation": "bilinear", "aggregation": False}  # fmt: skip
    del table["head_dim"]
    assert read_config(written(tmp_path, table)) == config


def test_defaults_are_the_published_code(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, VALID | {"name": "other", "description": "for a watch"}))
    assert (config.name, config.description) == ("other", "for a watch")
    assert (config.heads, config.sample_rates, config.ffn_ratios) == ((1, 2, 3, 4), (4, 2, 2, 1), (4, 4, 4, 4))
    assert config.options() == {}


def test_a_configuration_stands_whole_in_the_spec(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, VALID | {"ffn_ratio": 2.5, "delegate": "max"}))
    model, spec = build_model(config, input_size=(64, 64))
    assert spec.name == "edgevit-mine-max-delegates-64x64"
    assert spec.options == {
        "delegate": "max", "channels": "8,16,24,32", "blocks": "1,1,2,1", "heads": "1,2,3,4",
        "sample_rates": "4,2,2,1", "ffn_ratios": "2.5,2.5,2.5,2.5",
    }  # fmt: skip
    assert model.blocks1[0].SelfAttn.mlp.fc1.out_features == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chanels": 1}, "unknown key 'chanels', did you mean 'channels'?"),
        ({"zzz": 1}, "unknown key 'zzz' (known: channels, blocks, heads, head_dim,"),
        ({"heads": [1, 2, 3, 4]}, "exactly one of 'heads' and 'head_dim' is needed, both are given"),
        ({"blocks": [1, 1, 2]}, "'blocks' has 3 numbers, expected 4, one for each stage"),
        ({"ffn_ratio": [4, 4]}, "'ffn_ratio' has 2 numbers, expected 4"),
        ({"head_dim": 5}, "stage 1: 8 channels cannot be divided by head_dim 5; stage 2: 16 channels"),
        ({"blocks": [1, 0, 2, 1]}, "'blocks' holds 0, expected more than 0 and at most 65536"),
        ({"channels": [8, 16, 24, -32]}, "'channels' holds -32"),
        ({"channels": [8, 16, 24, 10**9]}, "'channels' holds 1e+09"),
        ({"ffn_ratio": 0.01}, "stage 1: 8 channels times ffn_ratio 0.01 leave no hidden channel"),
        ({"sample_rates": [4, 2, 2, "1"]}, "Expected `int`, got `str` - at `$.sample_rates[3]`"),
        ({"aggregation": 1}, "Expected `bool`, got `int` - at `$.aggregation`"),
        ({"channels": 8}, "Expected `array`, got `int` - at `$.channels`"),
        ({"head_dim": True}, "Expected `int | null`, got `bool` - at `$.head_dim`"),
        ({"delegate": "centre"}, "unknown delegate 'centre': choose from avg, center, max"),
        ({"propagation": "deconv"}, "unknown propagation 'deconv': choose from bilinear, none, transposed-conv"),
        ({"name": "a/b"}, "name 'a/b' cannot be part of a file name"),
        ({"name": ""}, "name '' cannot be part of a file name"),
        ({"name": "XS"}, "name 'XS' belongs to a built-in variant"),
    ],
)
def test_findings(tmp_path: Path, change: dict[str, object], words: str) -> None:
    assert words in message(tmp_path, VALID | change)


def test_all_findings_at_once(tmp_path: Path) -> None:
    seen = message(tmp_path, {"chanels": [1], "blocks": [1, 2, 3]})
    for words in ("unknown key 'chanels'", "'channels' is missing", "'blocks' has 3", "exactly one of 'heads'"):
        assert words in seen


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "[1]", "holds a list, expected a table of keys"),
        ("a.json", "{", "is not valid JSON"),
        ("a.json", "[" * 100000, "is not valid JSON"),
        ("a.toml", "a = ", "is not valid TOML"),
        ("a.toml", b"a = 1\nb = '\xff'", r"is no UTF-8 text: byte 12 \(line 2\)"),
        ("a.json", '{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("a.json", '{"channels": [' + "9" * 400 + "]}", "an integer has more than 64 bits"),
        ("a.json", '{"name": "\\ud800"}', "lone surrogate"),
        ("a.yaml", "a: 1", "ends in '.yaml', expected .toml or .json"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, name: str, content: str | bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=words):
        read_config(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", 'name = "tiny"\r\nchannels = [24, 48, 96, 192]\r\nblocks = [1, 1, 2, 1]\r\nhead_dim = 24\r\n'),
        ("a.json", '{"name": "tiny", "channels": [24, 48, 96, 192], "blocks": [1, 1, 2, 1], "head_dim": 24}'),
    ],
)
def test_as_windows_editors_save_it(tmp_path: Path, encoding: str, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    assert read_config(path).channels == (24, 48, 96, 192)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_config(tmp_path / "none.toml")


@st.composite
def tables(draw: st.DrawFn) -> dict[str, object]:
    heads = draw(st.lists(st.integers(1, 4), min_size=4, max_size=4))
    return {
        "channels": [count * draw(st.integers(1, 6)) for count in heads],
        "blocks": draw(st.lists(st.integers(1, 2), min_size=4, max_size=4)),
        "heads": heads,
        "sample_rates": draw(st.lists(st.integers(1, 4), min_size=4, max_size=4)),
        "ffn_ratio": draw(st.one_of(st.integers(1, 4), st.floats(1, 4))),
        "delegate": draw(st.sampled_from([member.value for member in Delegate])),
        "propagation": draw(st.sampled_from([member.value for member in Propagation])),
        "aggregation": draw(st.booleans()),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_every_valid_configuration_builds_and_runs(tmp_path: Path, table: dict[str, object]) -> None:
    config = read_config(written(tmp_path, table))
    size = (config.size_multiple, config.size_multiple)
    if size[0] > 192:
        return
    model, spec = build_model(config, input_size=size, num_classes=3)
    with torch.no_grad():
        logits = model(torch.ones(spec.inputs[0].shape))
    assert tuple(logits.shape) == spec.outputs[0].shape
    assert torch.isfinite(logits).all()


def test_a_path_may_be_a_string(tmp_path: Path) -> None:
    path = written(tmp_path, VALID)
    assert read_config(str(path)) == read_config(path)
