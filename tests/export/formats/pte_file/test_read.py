"""ExecuTorch files of a small network and of EdgeViT-XXS, read back from their bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from mobile_artifacts import edgevit, small

from edgevit.errors import ArtifactError
from edgevit.spec import Layout, Task
from export.formats.pte_file.contents import PteFile, parse
from export.formats.pte_file.read import METADATA_METHOD, OUTSIDE, delegation_of, read
from export.recipe import Format


def test_names_and_layouts_travel_in_the_file() -> None:
    facts = read(small(Format.PTE).path)
    assert [(tensor.name, tensor.shape, tensor.layout) for tensor in facts.inputs] == [
        ("image", (1, 3, 32, 24), Layout.NCHW)
    ]
    assert [(tensor.name, tensor.shape) for tensor in facts.outputs] == [("logits", (1, 10))]
    assert facts.requires == "ExecuTorch >= 1.4.1 with XnnpackBackend"


def test_histogram_shows_both_sides_of_the_delegate() -> None:
    rows = {operator.name: operator.count for operator in read(small(Format.PTE).path).operators}
    assert rows["aten::mean.out"] == 1
    assert rows["xnnpack::Conv2d"] == rows["xnnpack::DepthwiseConv2d"] == rows["xnnpack::FullyConnected"] == 1


def test_delegation_says_how_many_pieces_and_why_the_rest_stayed() -> None:
    share = delegation_of(parse(small(Format.PTE).path), small(Format.PTE).path)
    assert (share.delegate, share.partitions) == ("XnnpackBackend", 2)
    assert share.total == share.delegated + 1 == read(small(Format.PTE).path).operator_count
    assert len(share.left) == 1
    assert share.left[0].startswith("aten::mean x 1: ")
    assert "keepdim" in share.left[0]
    assert [(piece.delegated, piece.names) for piece in share.pieces] == [
        (True, ()), (False, ("aten::mean.out",)), (True, ()),
    ]  # fmt: skip
    assert sum(piece.operators for piece in share.pieces if piece.delegated) == share.delegated


def test_pieces_outside_know_the_modules_that_the_file_names() -> None:
    path = small(Format.PTE).path
    file = parse(path)
    stated = json.loads(file.texts[METADATA_METHOD])
    stated[OUTSIDE] = json.dumps([{"name": "aten::mean", "why": "rank", "count": 1, "modules": ["neck", "head"]}])
    named = replace(file, texts={METADATA_METHOD: json.dumps(stated)})
    assert [piece.modules for piece in delegation_of(named, path).pieces] == [(), ("neck", "head"), ()]
    (mean,) = [operator for operator in read(path, named).operators if operator.name == "aten::mean.out"]
    assert mean.modules == ("neck", "head")


def test_edgevit_calls_only_stock_kernels_and_knows_their_modules() -> None:
    built = edgevit(Format.PTE, Task.CLASSIFY)
    facts = read(built.path)
    assert all(operator.standard for operator in facts.operators)
    share = delegation_of(parse(built.path), built.path)
    assert (share.partitions, share.left) == (1, ())
    assert (share.delegated, len(share.pieces)) == (share.total, 1)


def test_other_kernels_and_delegates_are_not_standard() -> None:
    whole = parse(small(Format.PTE).path)
    strange = PteFile(
        inputs=whole.inputs,
        outputs=whole.outputs,
        kernels=Counter({"mine::fft.out": 2, "aten::mean.out": 1}),
        partitions=(("QnnBackend", Counter()), *whole.partitions),
        texts=whole.texts,
    )
    facts = read(small(Format.PTE).path, strange)
    strangers = {operator.name: operator for operator in facts.operators if not operator.standard}
    assert set(strangers) == {"mine::fft.out", "QnnBackend::partition"}
    assert "portable" in (strangers["mine::fft.out"].why_not or "")


def test_reading_needs_neither_torch_nor_executorch() -> None:
    script = (
        "import sys; from pathlib import Path; from export.formats.pte_file.read import read;"
        "read(Path(sys.argv[1]));"
        "sys.exit(' '.join(sorted({'torch', 'executorch', 'flatbuffers'} & set(sys.modules))) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(small(Format.PTE).path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_metadata_that_says_a_thing_twice_is_refused() -> None:
    whole = parse(small(Format.PTE).path)
    text = whole.texts[METADATA_METHOD]
    twice = replace(whole, texts={METADATA_METHOD: text[:-1] + ', "labels": "others"}'})
    with pytest.raises(ArtifactError, match="its metadata holds 'labels' twice"):
        read(small(Format.PTE).path, twice)
