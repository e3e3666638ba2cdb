"""Weights in half precision."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tflite_layers import LABELS, answers, images, products, written

from edgevit.errors import ExportError
from export.formats.tflite_file.half import LARGEST, halved
from export.formats.tflite_file.read import read
from export.quantization.layers import layers_of, place_of
from export.recipe import Format, Precision
from runtimes.sessions.table import open_session


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(products(), Precision.FP16, tmp_path_factory.mktemp("half"))


def test_all_weights_are_stored_in_half_precision(path: Path) -> None:
    facts = read(path)
    assert facts.weights["float16"] == sum(held.numel() for _, _, held in layers_of(products()))
    assert facts.weights["float32"] < 0.1 * facts.weights["float16"]
    assert {tensor.dtype for tensor in (*facts.inputs, *facts.outputs)} == {"float32"}


def test_it_answers_as_the_program_with_rounded_weights(path: Path) -> None:
    program = products()
    module = copy.deepcopy(program.module)
    for held in (*module.parameters(), *module.buffers()):
        if held.dim() > 1:
            held.data = held.data.half().float()
    feeds = images(4)
    expected = answers(dataclasses.replace(program, module=module), feeds)
    session = open_session(path, Format.TFLITE, threads=1)
    seen = np.concatenate([session.run({"image": feed.numpy()})["logits"] for feed in feeds])
    assert np.abs(seen - expected.numpy()).max() < 1e-5
    assert np.abs(seen - answers(program, feeds).numpy()).max() > 1e-5  # not float32 after all


def test_it_is_delegated_as_float32_is(path: Path) -> None:
    session = open_session(path, Format.TFLITE, threads=1)
    took = session.delegation()
    assert took is not None
    assert (took.delegated, took.partitions) == (took.total, 1)


def test_versions_labels_and_metadata_are_there(path: Path) -> None:
    facts = read(path)
    widening = next(operator for operator in facts.operators if operator.name == "DEQUANTIZE")
    assert (widening.version, widening.standard) == (3, True)
    assert facts.metadata["labels.txt"].split("\n")[:2] == list(LABELS[:2])
    assert facts.metadata["recipe"]


def test_weights_that_half_precision_cannot_hold_are_refused() -> None:
    program = products()
    module = copy.deepcopy(program.module)
    with torch.no_grad():
        broken = dataclasses.replace(program, module=module)
        next(held for node, _, held in layers_of(broken) if place_of(node) == "stem.0").flatten()[0] = 2 * LARGEST
    with pytest.raises(ExportError, match=r"weights of stem\.0 are larger than 65504"):
        halved(b"", broken)
