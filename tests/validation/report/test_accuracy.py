"""Accuracies: what files and the command line may say, and which artifact they are for."""

from pathlib import Path

import pytest
from report_records import ACCURACY_TOML

from edgevit.errors import UsageError
from export.recipe import Precision
from validation.report.accuracy import AccuracyBook, read_accuracies, stated_on_command_line
from validation.report.rows import Metric


def book_of(path: Path, text: str) -> AccuracyBook:
    path.write_text(text, encoding="utf-8")
    book = AccuracyBook()
    book.add(read_accuracies(path))
    return book


def test_an_artifact_is_found_by_file_name_then_stem_then_the_longest_pattern(tmp_path: Path) -> None:
    book = book_of(tmp_path / "a.toml", '"*" = 10\n"edge*" = 20\n"edgevit-s" = 30\n"edgevit-s.onnx" = 40\n')

    def top1(artifact: str) -> float | None:
        model = book.lookup(artifact)
        return model.top1 if model else None

    assert [top1(name) for name in ("edgevit-s.onnx", "edgevit-s.ptl", "edgevit-xs.ptl", "other.ptl")] == [
        40,
        30,
        20,
        10,
    ]


def test_two_patterns_that_fit_equally_well_are_refused_unless_they_say_the_same(tmp_path: Path) -> None:
    book = book_of(tmp_path / "a.toml", '"edge*" = 20\n"*vit*" = 30\n')
    with pytest.raises(UsageError, match="both fit"):
        book.lookup("edgevit.onnx")
    same = book_of(tmp_path / "b.toml", '"edge*" = 20\n"*vit*" = 20\n')
    assert same.lookup("edgevit.onnx") is not None


def test_kind_and_source_are_kept_and_stated_is_the_default(tmp_path: Path) -> None:
    book = book_of(tmp_path / "a.toml", ACCURACY_TOML)
    measured, stated = book.lookup("edgevit-s-224x224.onnx"), book.lookup("edgevit-xxs-224x224.tflite")
    assert measured is not None and stated is not None
    assert [(a.value, a.kind, a.source) for a in measured.accuracies()] == [(80.9, "measured", "own run, 50000 images")]
    assert [(a.value, a.kind) for a in stated.accuracies()] == [(74.4, "stated")]
    assert {entry.pattern for entry in book.unused()} == {
        "edgevit-xs-224x224.onnx", "mobilenet_v2", "slow_but_good", "wrong", "broken",
    }  # fmt: skip


def test_csv_and_json_say_the_same_as_toml(tmp_path: Path) -> None:
    csv = book_of(tmp_path / "a.csv", "model,top1,ap,kind,label\nsmall,71.5,,measured,Small\nbig,,40.1,,\n")
    json = book_of(
        tmp_path / "a.json", '{"small": {"top1": 71.5, "kind": "measured", "label": "Small"}, "big": {"ap": 40.1}}'
    )
    assert csv.lookup("small") == json.lookup("small")
    assert csv.lookup("big") == json.lookup("big")


def test_one_model_may_have_several_metrics(tmp_path: Path) -> None:
    model = book_of(tmp_path / "a.toml", "backbone = { ap = 38.7, miou = 39.7 }").lookup("backbone")
    assert model is not None
    assert {a.metric: a.value for a in model.accuracies()} == {Metric.AP: 38.7, Metric.MIOU: 39.7}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.toml", "m = 770", "no percentage"),
        ("a.toml", "m = -3", "no percentage"),
        ("a.toml", "m = nan", "no percentage"),
        ("a.toml", "m = 0.775", "share"),
        ("a.toml", "m = { top5 = 90 }", "top5"),
        ("a.toml", "m = true", "StatedModel|object"),
        ("a.toml", "m = { kind = 'guessed', top1 = 70 }", "guessed"),
        ("a.toml", "m = { source = 'somewhere' }", "says nothing"),
        ("a.toml", "m = { top1 = 70, parameters_m = -1 }", "above 0"),
        ("a.toml", "", "nothing like it"),
        ("a.toml", "m = ", "not valid TOML"),
        ("a.json", "[1]", "nothing like it"),
        ("a.json", "{", "not valid JSON"),
        ("a.csv", "name,top1\na,70\n", "no column 'model'"),
        ("a.csv", "model,top1\na\n", "cells"),
        ("a.csv", "model,top1\na,70,1\n", "cells"),
        ("a.csv", "model,top1\na,seventy\n", "seventy"),
        ("a.csv", "model,top1\na,70\na,71\n", "second time"),
        ("a.yaml", "m: 70", "expected .toml"),
    ],
)
def test_bad_files_are_refused_with_the_entry_named(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=expected) as caught:
        read_accuracies(path)
    assert name in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.toml: No such file"):
        read_accuracies(tmp_path / "gone.toml")


def test_the_command_line_states_top1_or_a_named_metric() -> None:
    assert stated_on_command_line("edgevit-s*=81.0").model.top1 == 81.0
    assert stated_on_command_line("backbone=mIoU:41.4").model.miou == 41.4
    assert stated_on_command_line("a=b.onnx=70").pattern == "a=b.onnx"


@pytest.mark.parametrize("text", ["edgevit-s", "=81", "s=high", "s=top5:90", "s=0.81", "s=101"])
def test_nonsense_on_the_command_line_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        stated_on_command_line(text)


@pytest.mark.parametrize(("value", "good"), [(100, True), (100.1, False), (1.01, True), (1, False), (0, False)])
def test_percentages_are_above_one_and_up_to_a_hundred(value: float, good: bool) -> None:
    if good:
        assert stated_on_command_line(f"a={value}").model.top1 == value
        return
    with pytest.raises(UsageError, match=r"share|no percentage"):
        stated_on_command_line(f"a={value}")


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan"])
@pytest.mark.parametrize("key", ["parameters_m", "multiply_adds_g"])
def test_sizes_are_finite_and_above_zero(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f"m = {{ top1 = 70, {key} = {value} }}")
    with pytest.raises(UsageError, match="expected a number above 0"):
        read_accuracies(path)
    path.write_text(f"m = {{ {key} = 0.1 }}")
    assert getattr(read_accuracies(path)[0].model, key) == 0.1, "an entry may say this alone"


def test_what_is_stated_later_wins_and_what_is_used_is_known(tmp_path: Path) -> None:
    book = book_of(tmp_path / "a.toml", '"a*" = 20\nab = 30\n')
    assert [entry.pattern for entry in book.unused()] == ["a*", "ab"]
    book.add([stated_on_command_line(" ab = 40")])
    found = book.lookup("ab.onnx")
    assert found is not None and found.top1 == 40
    assert [entry.pattern for entry in book.unused()] == ["a*"]
    assert book.lookup("b.onnx") is None
    by_stem = book.lookup("a.onnx")
    assert by_stem is not None and by_stem.top1 == 20 and book.unused() == []


def test_files_may_begin_with_a_mark_and_spell_their_suffix_large(tmp_path: Path) -> None:
    path = tmp_path / "A.CSV"
    path.write_bytes(b"\xef\xbb\xbfmodel,top1,parameters_m\nm, 70.5 ,\n")
    (entry,) = read_accuracies(path)
    assert (entry.pattern, entry.model.top1, entry.model.parameters_m, entry.origin) == ("m", 70.5, None, str(path))


def top1_of(book: AccuracyBook, artifact: str, precision: Precision | None) -> float | None:
    model = book.lookup(artifact, precision)
    return model.top1 if model else None


def test_a_name_is_that_of_one_file_and_not_of_its_other_precisions(tmp_path: Path) -> None:
    book = book_of(tmp_path / "a.toml", '"net" = 81\n"net-int8" = 79\n')
    assert top1_of(book, "net.onnx", Precision.FP32) == 81
    assert top1_of(book, "net-int8.onnx", Precision.INT8) == 79
    assert top1_of(book, "net-fp16.onnx", Precision.FP16) is None
    assert book.withheld_words() == []


def test_a_pattern_tells_the_accuracy_of_float32_and_of_what_it_names(tmp_path: Path) -> None:
    book = book_of(tmp_path / "a.toml", '"net*" = { top1 = 81, parameters_m = 3.5, label = "Net" }\n')
    assert top1_of(book, "net.onnx", Precision.FP32) == top1_of(book, "net.onnx", None) == 81
    int8 = book.lookup("net-int8.onnx", Precision.INT8)
    assert int8 is not None
    assert (int8.top1, int8.parameters_m, int8.label) == (None, 3.5, "Net")
    book.lookup("net-int8-static-16-1a2b3c4d.onnx", Precision.INT8)
    (words,) = book.withheld_words()
    assert words.startswith("net-int8-static-16-1a2b3c4d.onnx, net-int8.onnx: no accuracy, since 'net*' does not name")
    assert book.unused() == []


def test_a_pattern_that_names_the_precision_counts_before_a_longer_one_that_does_not(tmp_path: Path) -> None:
    book = book_of(tmp_path / "a.toml", '"net-224x224*" = 81\n"*int8*" = 79\n')
    assert top1_of(book, "net-224x224-int8.onnx", Precision.INT8) == 79
    assert book.withheld_words() == []
