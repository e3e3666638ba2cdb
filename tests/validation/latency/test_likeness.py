"""No field of a record is silent: each that is not expected to differ is told when it does."""

from __future__ import annotations

import msgspec
import pytest
from latency_records import device_run, normal_rounds, state
from report_records import three_precisions

from edgevit.spec import Layout, Network, Task, TensorSpec
from export.recipe import Calibration, Format, Precision, Recipe
from runtimes.bench.record import DeviceRun, Round
from runtimes.bench.request import Conditions
from runtimes.conditions.device_state import BatteryState
from runtimes.runners.process import RunnerFile
from runtimes.runners.runner import Measured
from runtimes.runners.workload import SyncPulses
from validation.latency import likeness
from validation.latency.likeness import UNKNOWN, differences, image_shape, rule_of, unfit_in_one, untold
from validation.latency.likeness_table import RULES, Weight

IMAGE = TensorSpec(name="image", shape=(1, 3, 224, 224), layout=Layout.NCHW)


def full_record() -> DeviceRun:
    """A record with every part that a comparison looks into."""
    run = device_run(normal_rounds(10.0, seed=1))
    battery = BatteryState(level_percent=80.0, temperature_c=25.0, voltage_v=4.0, charging=False, powered_by=("usb",))
    before = msgspec.structs.replace(state(), battery=battery)
    network = Network(variant="xs", task=Task.CLASSIFY, num_classes=1000, weights="random, seed 0")
    return msgspec.structs.replace(
        run,
        artifact=msgspec.structs.replace(
            run.artifact,
            inputs=(IMAGE,),
            network=network,
            recipe=Recipe(
                format=Format.ONNX, precision=Precision.INT8, calibration=Calibration(count=16, sha256="ab" * 32)
            ),
        ),
        workload=msgspec.structs.replace(run.workload, pulses=SyncPulses()),
        conditions=Conditions(),
        rounds=tuple(msgspec.structs.replace(each, before=before, measured=_with_files(each)) for each in run.rounds),
    )


def _with_files(each: Round) -> Measured:
    library = RunnerFile(name="libruntime.so", sha256="ab" * 32, size_bytes=100, version="1.2.3")
    return msgspec.structs.replace(each.measured, files=(library,))


def changed(record: object, path: list[str]) -> object:
    """The record with another value at ``path``, in every element where there are several."""
    if not path:
        return _other(record)
    if isinstance(record, tuple):
        return tuple(changed(each, path) for each in record)
    name, *rest = path
    return msgspec.structs.replace(record, **{name: changed(getattr(record, name), rest)})  # type: ignore[type-var]


def with_kernel(run: DeviceRun, *kernels: str) -> DeviceRun:
    """The record with one kernel in all its rounds, or with one for each of the last rounds."""
    first = len(run.rounds) - len(kernels)
    names = (kernels[0],) * first + kernels
    rounds = tuple(
        msgspec.structs.replace(each, before=msgspec.structs.replace(each.before, kernel=name))
        for each, name in zip(run.rounds, names, strict=True)
    )
    return msgspec.structs.replace(run, rounds=rounds)


def _other(value: object) -> object:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case tuple():
            return (*value, *value, 7)
        case dict():
            return {**value, "other": "x"}
        case str() if len(value) == 64:  # a hash
            return "0123" * 16
        case str() if value.startswith("20"):  # a date
            return "2031-02-03T04:05:06+00:00"
        case _:
            return "other"


@pytest.mark.parametrize("path", [rule.path for rule in RULES if rule.weight is not Weight.EXPECTED])
def test_a_difference_in_any_field_that_matters_is_told(path: str) -> None:
    first = full_record()
    second = changed(first, path.split("."))
    assert isinstance(second, DeviceRun)
    (found,) = differences(first, second)
    assert (found.field, found.weight) == (path, rule_of(path).weight)
    assert found.first != found.second


@pytest.mark.parametrize("path", ["created_utc", "rounds.before.uptime_s", "rounds.measured.load_ns"])
def test_what_is_expected_to_differ_is_not_told(path: str) -> None:
    first = full_record()
    second = changed(first, path.split("."))
    assert isinstance(second, DeviceRun) and second != first
    assert differences(first, second) == ()


@pytest.mark.parametrize(
    ("mine", "theirs", "longest"), [("a" * 80, "b" * 80, 60), ("a" * 80 + "1", "a" * 80 + "2", 81)]
)
def test_long_values_are_cut_unless_they_differ_behind_the_cut(mine: str, theirs: str, longest: int) -> None:
    (found,) = differences(with_kernel(full_record(), mine), with_kernel(full_record(), theirs))
    assert found.first != found.second
    assert max(len(found.first), len(found.second)) == longest


def test_a_field_without_a_row_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "RULES", tuple(rule for rule in RULES if rule.path != "rounds.before.soc"))
    first = full_record()
    second = changed(first, ["rounds", "before", "soc"])
    assert isinstance(second, DeviceRun)
    (found,) = differences(first, second)
    assert (found.words, found.weight) == ("rounds.before.soc", Weight.LISTED)


def test_equal_records_do_not_differ() -> None:
    assert differences(full_record(), full_record()) == ()
    again = device_run(normal_rounds(12.0, seed=9))
    assert differences(device_run(normal_rounds(10.0, seed=1)), again) == ()


def test_what_changes_between_the_rounds_of_one_record_is_told() -> None:
    (found,) = differences(with_kernel(full_record(), "6.8"), with_kernel(full_record(), "6.8", "6.9"))
    assert (found.words, found.first, found.second, found.known) == ("kernel", "6.8", "6.8, 6.9", True)


def test_what_one_record_does_not_tell_is_no_proof_that_they_are_unlike() -> None:
    (found,) = differences(full_record(), with_kernel(full_record(), "6.8"))
    assert (found.first, found.second, found.known) == (UNKNOWN, "6.8", False)


def test_cores_are_compared_in_their_order_and_shown_in_few_words() -> None:
    cpu = state().cpus[0]
    clocks = [(2_000_000_000,) * 4 + (1_800_000_000,) * 4, (2_000_000_000,) * 6 + (1_800_000_000,) * 2]
    runs = []
    for each in clocks:
        cpus = tuple(msgspec.structs.replace(cpu, index=index, hw_max_hz=hz) for index, hz in enumerate(each))
        before = msgspec.structs.replace(state(), cpus=cpus)
        run = full_record()
        runs.append(
            msgspec.structs.replace(run, rounds=tuple(msgspec.structs.replace(r, before=before) for r in run.rounds))
        )
    told = {each.words: (each.first, each.second) for each in differences(*runs)}
    assert told == {"cores' top clocks": ("4 x 2 GHz, 4 x 1.8 GHz", "6 x 2 GHz, 2 x 1.8 GHz")}


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (IMAGE, (1, 3, 224, 224)),
        (TensorSpec(name="image", shape=(4, 224, 200, 3), layout=Layout.NHWC), (4, 3, 224, 200)),
        (TensorSpec(name="image", shape=(1, 224, 200, 3)), (1, 3, 224, 200)),
        (TensorSpec(name="image", shape=(1, 3, 224, 224)), (1, 3, 224, 224)),
        (TensorSpec(name="image", shape=(1, 3, 224, 3)), (1, 3, 224, 3)),
        (TensorSpec(name="tokens", shape=(1, 77)), (1, 77)),
    ],
)
def test_one_image_is_one_shape_whatever_its_layout(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    assert image_shape(spec) == shape


def test_what_neither_record_tells_is_named() -> None:
    old = device_run(normal_rounds(10.0, seed=1))
    assert untold(old, old) == ["input", "network"]
    assert untold(old, full_record()) == []


def test_a_state_that_is_unfit_in_one_record_only_is_told_whatever_its_numbers() -> None:
    first = full_record()

    def loaded(load: float) -> DeviceRun:
        before = msgspec.structs.replace(first.rounds[0].before, load_1min=load)
        return msgspec.structs.replace(first, rounds=(msgspec.structs.replace(first.rounds[0], before=before),))

    (told,) = unfit_in_one(first, loaded(3.0))
    assert told.startswith("only the second record started so: other work runs on it")
    assert unfit_in_one(loaded(2.5), loaded(3.0)) == []


def test_precision_and_calibration_are_told_in_words_and_refuse_nothing() -> None:
    plain, dynamic, static = three_precisions()
    told = {each.field: (each.first, each.second, each.weight) for each in differences(plain, static)}
    assert told["artifact.recipe.precision"] == ("fp32", "int8", Weight.LISTED)
    assert told["artifact.recipe.calibration.count"] == ("none", "100", Weight.LISTED)
    assert [str(each) for each in differences(dynamic, static) if "recipe" in each.field] == [
        "unlike calibration images: none and 100", "unlike calibration: none and 1a2b3c4d1a2b",
    ]  # fmt: skip
    assert not {each.field for each in differences(plain, dynamic)} & {"artifact.recipe.calibration.count"}


def test_layers_that_one_recipe_alone_keeps_float_are_told() -> None:
    _, _, run = three_precisions()
    assert run.artifact.recipe is not None
    recipe = msgspec.structs.replace(run.artifact.recipe, keep_float=("head",), reach_sqnr_db=30.0)
    other = msgspec.structs.replace(run, artifact=msgspec.structs.replace(run.artifact, recipe=recipe))
    assert [str(each) for each in differences(run, other)] == [
        "unlike layers kept float: none and head", "unlike SQNR asked for: none and 30",
    ]  # fmt: skip


def test_a_record_without_a_recipe_tells_of_no_calibration() -> None:
    _, _, static = three_precisions()
    bare = msgspec.structs.replace(static, artifact=msgspec.structs.replace(static.artifact, recipe=None))
    found = {each.field: each for each in differences(bare, static)}
    assert found["artifact.recipe.calibration.count"].first == UNKNOWN
