"""Readers of what people hand over: artifacts, manifests, golden sets, checkpoints, photos, tables, configurations."""

from __future__ import annotations

import io
import json
import shutil
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
from fuzz_mutation import Kind
from fuzz_reader import SEEDS, Reader, at, files, of_file, words

from edgevit.checkpoint.load import read_checkpoint
from edgevit.errors import ArtifactError, CheckpointError, SessionError, UsageError
from edgevit.labels import read_labels
from edgevit.network.config_file import read_config
from edgevit.rebuild import configuration_of
from edgevit.records import sha256_file
from edgevit.spec import Layout, ModelSpec, TensorSpec
from edgevit.text import decode, parse_json, parse_toml, printable
from edgevit_export.commands.inspect import read_facts
from edgevit_export.workflows.report import _size_and_cost as size_and_cost
from edgevit_export.workflows.report import facts_of_manifest
from edgevit_export.workflows.subjects import find_subjects
from export.artifact import FileFacts, Manifest
from export.formats.pte_file.contents import parse as parse_pte
from export.formats.pte_file.read import delegation_of
from export.formats.tflite_file.contents import parse as parse_tflite
from export.golden import GoldenSet, load_golden
from export.identify import what_it_is
from export.int8.record import LayerKind, LayerRecord, QuantizationRecord, Scheme
from export.manifest import load_manifest
from export.photos import load_photos
from export.plain_golden import load_any_golden
from export.quantization.calibration import calibration_of, load_calibration
from export.recipe import Format, Precision, Recipe
from runtimes.runners.exits import program_abi
from runtimes.sessions.feed import check_feed
from runtimes.sessions.session import Array, Session
from validation.artifact.audit import audit
from validation.artifact.verify import verify_artifact
from validation.report.accuracy import AccuracyBook, read_accuracies

GOLDEN = next((SEEDS / "artifacts").glob("tiny.golden-*.npz")).name
FLATBUFFER_TOKENS = (
    b"\xff\xff\xff\x7f",
    b"\x04\x00\x00\x00",
    b"\x00\x00\x00\x80",
    b"TFL3",
    b"ET12",
    b"XH00",
    b"PK\x03\x04",
)


def read_artifact_file(path: Path) -> FileFacts:
    """What ``inspect``, ``verify`` and ``bench`` do with an artifact before anything is run: read it, audit it."""
    facts = read_facts(path)
    audit(facts, Recipe(format=facts.format))
    if facts.format is Format.PTE:
        delegation_of(parse_pte(path), path)
    if facts.format is Format.TFLITE:
        parse_tflite(path)
    return facts


class _Known(Session):
    """Stands for the artifact's runtime: what it is fed must fit, and it answers as the golden set says."""

    runtime = "known 1"
    inputs = (TensorSpec(name="image", shape=(1, 3, 8, 8), layout=Layout.NCHW),)
    outputs = (TensorSpec(name="logits", shape=(1, 4)),)

    def run(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """The golden answer to a golden input, zeros to any other."""
        check_feed(self.inputs, arrays, "tiny.onnx")
        golden = _golden()
        same = [np.array_equal(row, arrays["image"][0]) for row in golden.inputs["image"]]
        answer = golden.outputs["logits"][same.index(True)] if any(same) else np.zeros(4)
        return {"logits": answer[None].astype(np.float32)}

    def close(self) -> None:
        """Nothing is held."""


@cache
def _golden() -> GoldenSet:
    return load_golden(SEEDS / "artifacts" / GOLDEN)


def _opener(path: Path, format: Format, *, threads: int = 1) -> Session:
    return _Known()


def read_manifest_as_all_do(data: bytes, room: Path) -> object:
    """A manifest beside its true artifact: loaded, verified step by step, benched as a subject, taken into a report."""
    for name in ("tiny.onnx", GOLDEN):
        shutil.copyfile(SEEDS / "artifacts" / name, room / name)
    path = at("tiny.onnx.json")(data, room)
    report = verify_artifact(path, opener=_opener)
    type(report).from_json(report.to_json())
    manifest = load_manifest(path)
    facts_of_manifest(manifest)
    find_subjects([path])
    return manifest


def golden_sets(path: Path) -> object:
    """A golden set of this tool, or of elsewhere."""
    try:
        return load_golden(path)
    except ArtifactError:
        return load_any_golden(path)


def golden_in_verification(data: bytes, room: Path) -> object:
    """A golden set under a manifest that agrees with it: plausible, drawn again, compared, and what differs placed."""
    shutil.copyfile(SEEDS / "artifacts" / "tiny.onnx", room / "tiny.onnx")
    golden = at("golden.npz")(data, room)
    manifest = _manifest()
    said = msgspec.structs.replace(manifest.golden, file=golden.name, sha256=sha256_file(golden))
    msgspec.structs.replace(manifest, golden=said).save(room / "tiny.onnx.json")
    return verify_artifact(room / "tiny.onnx.json", opener=_opener)


@cache
def _manifest() -> Manifest:
    return load_manifest(SEEDS / "artifacts" / "tiny.onnx.json")


def _manifests() -> list[bytes]:
    """As it was written, and with another preprocessing than the file says."""
    found = _manifest()
    assert found.spec.preprocessing is not None
    other = msgspec.structs.replace(found.spec.preprocessing, resize_px=8, interpolation="bilinear")
    spec = msgspec.structs.replace(found.spec, preprocessing=other, labels=("cat", "dog", "bird", "ä"))
    return [each.to_json().encode() for each in (found, msgspec.structs.replace(found, spec=spec), _in_int8(found))]


def _in_int8(found: Manifest) -> Manifest:
    """As of a static int8 artifact."""
    digests = tuple(f"{number:016x}" for number in range(16))
    layers = tuple(
        LayerRecord(name=name, module="head", kind=LayerKind.LINEAR, weights=16, scheme=scheme, why=why, sqnr_db=db)
        for name, scheme, why, db in (("a", Scheme.STATIC, "", 36.5), ("b", Scheme.FLOAT, "kept by 'head'", None))
    )
    recipe = msgspec.structs.replace(
        found.recipe, precision=Precision.INT8, calibration=calibration_of(digests), keep_float=("head",)
    )
    record = QuantizationRecord(layers=layers, measured_on="16 images of the calibration", images=digests)
    return msgspec.structs.replace(found, recipe=recipe, quantization=record)


def _calibration_sets() -> list[bytes]:
    """Pixels, and arrays as the network takes them."""
    generator, found = np.random.default_rng(0), []
    pixels = generator.integers(0, 256, (16, 8, 8, 3), dtype=np.uint8)
    for image in (pixels, generator.normal(size=(16, 3, 8, 8)).astype(np.float32)):
        written = io.BytesIO()
        np.savez(written, image=image)
        found.append(written.getvalue())
    return found


def _goldens() -> list[bytes]:
    """The golden set, one whose first answer is another: a difference that has to be placed, and one of int8."""
    path = SEEDS / "artifacts" / GOLDEN
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays["outputs/logits"] = arrays["outputs/logits"] + np.linspace(0, 1e-3, 4)
    changed, int8 = io.BytesIO(), io.BytesIO()
    np.savez(changed, **arrays)
    np.savez(int8, **arrays, **{"rounded/logits": arrays["outputs/logits"].astype(np.float32)})
    return [path.read_bytes(), changed.getvalue(), int8.getvalue()]


@cache
def _photo_spec() -> ModelSpec:
    return _manifest().spec


def photos(suffix: str, kind: Kind, *names: str) -> Reader:
    """One row for pictures of a kind."""
    put = at(f"photo.{suffix}")
    return Reader(
        f"photo-{suffix}", f"a photo ({', '.join(names)})",
        lambda data, room: load_photos(put(data, room).parent, _photo_spec()), (UsageError,), files(*names), kind,
        tokens=(b"Exif\0\0MM\0*", b"\xff\xe1\xff\xff", b"\xff\xd8\xff", b"IDAT", b"\xff\xc2", b"II*\0"),
        corpora=("photos",),
    )  # fmt: skip


def weights(data: bytes, room: Path, name: str) -> object:
    """A checkpoint, and what of the model is taken from it."""
    found = read_checkpoint(at(name)(data, room))
    found.classes(None), found.input_channels(None)
    return msgspec.to_builtins(found.weights)


def read_spec(data: bytes, room: Path) -> ModelSpec:
    """A ``ModelSpec``, and the network that it says."""
    spec = ModelSpec.load(at("spec.json")(data, room))
    size_and_cost(spec)
    configuration_of(spec)
    return spec


def _specs() -> list[bytes]:
    manifest = _manifest()
    own = {"channels": "24,48,96,192", "blocks": "1,1,2,1", "heads": "1,2,4,8", "sample_rates": "4,2,2,1",
           "ffn_ratios": "4,4,4,4", "delegate": "avg", "aggregation": "off"}  # fmt: skip
    built_in = msgspec.structs.replace(manifest.spec, variant="xxs", options={"propagation": "bilinear"})
    custom = msgspec.structs.replace(manifest.spec, variant="mine", options=own)
    return [built_in.to_json().encode(), custom.to_json().encode()]


def accuracies(path: Path) -> object:
    """A file of accuracies, looked up as a report does."""
    book = AccuracyBook()
    book.add(read_accuracies(path))
    return book.lookup("edgevit-s-224x224.onnx")


LABELS_JSON = (
    '["tench", "goldfish"]', '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', '{"cat": 0, "dog": 1}',
    '{"id2label": {"0": "cat", "1": "dog"}, "model_type": "x"}',
)  # fmt: skip
TOML = (
    'channels = [24, 48, 96, 192]\nblocks = [1, 1, 2, 1]\nhead_dim = 24\n',
    'name = "mine"\nchannels = [36, 72, 144, 288]\nblocks = [1, 1, 3, 2]\nheads = [1, 2, 4, 8]\n'
    'sample_rates = [4, 2, 2, 1]\nffn_ratio = 4.0\ndelegate = "avg"\npropagation = "bilinear"\naggregation = false\n'
    'description = """two\nlines"""\n',
)  # fmt: skip
ACCURACY_TOML = """"edgevit-s-224x224" = 81.0
["edgevit-*"]
top1 = 71.8
kind = "measured"
source = "own run"
parameters_m = 3.5
multiply_adds_g = 0.3
label = "MobileNet-v2"
"""
TOML_TOKENS = (
    b'"""',
    b"'''",
    b"[[",
    b"[a.b.c]",
    b"inf",
    b"nan",
    b"1979-05-27T07:32:00Z",
    b"\\uD800",
    b"0x",
    b"1e400",
    b"a." * 3000,
)

TEXT_LIKE = (*TOML, ACCURACY_TOML, '{"a": [1, -2.5e3, null, true], "b": {"c": "d\\u00e9"}}', "[[1, 2], [], {}]")


def text(data: bytes, _: Path) -> object:
    """Bytes as text, as TOML and as JSON; what was accepted can be shown and written as JSON."""
    refused: UsageError | None = None
    read = []
    for parse in (decode, parse_toml, parse_json):
        try:
            value = parse(data, origin="x", failure=UsageError)
        except UsageError as error:
            refused = error
            continue
        read.append(printable(str(value)))
        assert read[-1].isprintable()
        if parse is parse_json:
            assert parse_json(json.dumps(value), origin="x") == value
    if refused and not read:
        raise refused
    return read


READERS = (
    *(
        Reader(
            format, f"a .{format} file: facts, delegation, audit", of_file(f"tiny.{format}", read_artifact_file),
            (ArtifactError,), files(f"seeds/artifacts/tiny.{format}"), Kind.ZIP if format == "ptl" else Kind.BINARY,
            tokens=FLATBUFFER_TOKENS if format != "onnx" else (b"\xff" * 9 + b"\x01", b"\x0a\xff\xff\xff\xff\x0f",
            b"\x70\x01"),
        )
        for format in ("ptl", "onnx", "tflite", "pte")
    ),
    Reader(
        "manifest", "a manifest: loaded, verified, benched, reported", read_manifest_as_all_do,
        (ArtifactError, UsageError, SessionError), _manifests, Kind.JSON, corpora=("manifests",),
    ),
    Reader("golden-verified", "golden sets under a manifest that agrees", golden_in_verification, (), _goldens,
    Kind.ZIP),
    Reader(
        "golden", "golden sets (.npz), own and plain", of_file("golden.npz", golden_sets), (ArtifactError,),
        files(f"seeds/artifacts/{GOLDEN}", "seeds/plain_golden.npz", "seeds/plain_golden_rows.npz"),
        Kind.ZIP, corpora=("npz",),
    ),
    Reader(
        "calibration", "images of a calibration (.npz)",
        lambda data, room: load_calibration(at("set.npz")(data, room), _photo_spec()), (UsageError,),
        _calibration_sets, Kind.ZIP, corpora=("npz",),
    ),
    Reader("model-spec", "a ModelSpec and its configuration", read_spec,
    (ArtifactError, UsageError), _specs,
    Kind.JSON),
    Reader(
        "checkpoint-torch", ".pth and .pt: zip and legacy", lambda data, room: weights(data, room, "weights.pth"),
        (CheckpointError,), files("seeds/lightning.pth", "seeds/bare.pth"), Kind.ZIP,
        tokens=(b"cposix\nsystem\n", b"\x80\x02", b"PK\x05\x06"), corpora=("checkpoints",),
    ),
    Reader(
        "checkpoint-legacy", ".pth of torch before 1.6", lambda data, room: weights(data, room, "weights.pth"),
        (CheckpointError,), files("seeds/legacy.pth"), Kind.PICKLE,
    ),
    Reader(
        "checkpoint-safetensors", ".safetensors", lambda data, room: weights(data, room, "weights.safetensors"),
        (CheckpointError,), files("seeds/weights.safetensors"), Kind.BINARY,
        tokens=(b'"dtype":"F64"', b'"shape":[-1]', b'"data_offsets":[0,99999999999]', b'"__metadata__"'),
    ),
    photos("png", Kind.IMAGE, "seeds/photo.png", "seeds/sixteen_bit.png", "seeds/palette.png"),
    photos("jpg", Kind.BINARY, "seeds/photo.jpg", "seeds/progressive.jpg"),
    photos("tif", Kind.BINARY, "seeds/photo.tif", "seeds/photo.bmp", "seeds/photo.gif", "seeds/photo.webp"),
    Reader(
        "text", "any text: its encoding, TOML, JSON", text, (UsageError,), words(*TEXT_LIKE), Kind.JSON,
        tokens=TOML_TOKENS,
    ),
    Reader(
        "labels", "class names", of_file("labels.txt", read_labels), (UsageError,),
        words("cat\ndog\nbird\n", "{0: 'tench', 1: \"gold\\'fish\"}\n", "tench\r\n\"goldfish\"\r\n", "äpfel\nbirne"),
        Kind.TEXT,
    ),
    Reader(
        "labels-json", "class names (.json)", of_file("labels.json", read_labels), (UsageError,), words(*LABELS_JSON),
        Kind.JSON,
    ),
    Reader(
        "labels-csv", "class names (.csv)", of_file("labels.csv", read_labels), (UsageError,),
        words("index,name\n0,tench\n1,\"gold, fish\"\n", "name\ncat\ndog\n"), Kind.TEXT,
    ),
    Reader(
        "config-toml", "a configuration (.toml)", of_file("net.toml", read_config), (UsageError,), words(*TOML),
        Kind.TEXT,
        tokens=TOML_TOKENS, corpora=("config",),
    ),
    Reader(
        "config-json", "a configuration (.json)", of_file("net.json", read_config), (UsageError,),
        words('{"channels": [24, 48, 96, 192], "blocks": [1, 1, 2, 1], "head_dim": 4, "name": "n", "delegate": "max"}'),
        Kind.JSON,
    ),
    Reader(
        "accuracy-toml", "accuracies (.toml)", of_file("a.toml", accuracies), (UsageError,), words(ACCURACY_TOML),
        Kind.TEXT,
        tokens=TOML_TOKENS,
    ),
    Reader(
        "accuracy-json", "accuracies (.json)", of_file("a.json", accuracies), (UsageError,),
        words('{"edgevit-s-224x224": 81.0, "x*": {"top1": 71.8, "kind": "stated", "label": "X", "parameters_m": 3.5}}'),
        Kind.JSON,
    ),
    Reader(
        "accuracy-csv", "accuracies (.csv)", of_file("a.csv", accuracies), (UsageError,),
        words("model,top1,kind,parameters_m,label\nedgevit-s-224x224,81.0,measured,11.1,S\n\"a,b\",70,stated,,\n"),
        Kind.TEXT,
    ),
    Reader(
        "identify", "the first bytes of any file, for messages",
        of_file("file", lambda path: (what_it_is(path), program_abi(path))[0]), (),
        lambda: [
            (SEEDS / "artifacts" / "tiny.tflite").read_bytes()[:200], (SEEDS / "trace.npz").read_bytes()[:200],
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n",
            b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0",
            b"<!DOCTYPE html><html>", b"/annex/objects/SHA256E-s1--00", b"\x08\x08\x12\x07pytorch",
        ],
        Kind.BINARY, tokens=(b"<!--", b"<?xml ", b"\x08\x08", b"PK\x03\x04", b"\x7fELF"),
    ),
)  # fmt: skip
