"""What an ONNX file says of its model beside its metadata, as written and as read."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from small_models import conv_net

from edgevit.errors import ArtifactError
from export.formats.onnx_file.metadata import own_metadata
from export.formats.onnx_file.read import read
from export.formats.onnx_file.write import write
from export.program import capture
from export.recipe import Format, Recipe


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(capture(*conv_net()), Recipe(format=Format.ONNX), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_the_file_says_what_its_spec_says(path: Path) -> None:
    spec = conv_net()[1]
    found = read(path).metadata
    assert {key: found[key] for key in own_metadata(spec, (), ())} == own_metadata(spec, (), ())
    model = onnx.load(path)
    assert (model.graph.name, model.doc_string) == tuple(own_metadata(spec, (), ()).values())
    assert spec.weights.describe() in model.doc_string


def test_metadata_that_says_a_thing_twice_is_refused(path: Path) -> None:
    model = onnx.load(path)
    model.metadata_props.add(key="weights", value="others")
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match="its metadata holds 'weights' twice"):
        read(path)
