"""Which runner can run which format, and what is missing where none can."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest
from bench_rig import elf, onnx_subject, program
from native_rig import native_files
from phone_stub import PhoneStub

from edgevit.errors import DeviceError, MissingDependencyError, UsageError
from export.recipe import Format
from runtimes.conditions.state import read_state
from runtimes.devices.host import HostDevice
from runtimes.runners import choose
from runtimes.runners.choose import (
    FoundRunners,
    PythonFacts,
    RunnerOption,
    RunnerOptions,
    abi_problem,
    choose_runner,
    find_tool,
    probe_python,
    require_taken,
    runner_options,
)
from runtimes.runners.native.launch import NativeFiles
from runtimes.runners.native.usable import Missing
from runtimes.runners.process import Finished
from runtimes.runners.runner import Runner
from runtimes.runners.tools import TOOLS
from runtimes.runners.workload import Workload

PERF_TEST = TOOLS[Format.ONNX]


@pytest.mark.parametrize(
    ("version", "modules", "words"),
    [
        ((3, 12, 1), ("numpy", "onnxruntime"), None),
        ((3, 10, 9), ("numpy", "onnxruntime"), "its python is 3.10.9, 3.11 or newer is needed"),
        ((3, 11, 0), ("onnxruntime",), "its python lacks numpy"),
        ((3, 11, 0), (), "its python lacks numpy, onnxruntime"),
        (None, (), "no 'py' on the device (not found)"),
    ],
)
def test_what_a_python_lacks(version: tuple[int, int, int] | None, modules: tuple[str, ...], words: str | None) -> None:
    facts = PythonFacts(command="py", version=version, modules=modules, complaint="not found")
    assert facts.why_not(Format.ONNX) == words


def test_only_the_formats_that_are_asked_for_are_looked_up(tmp_path: Path) -> None:
    host = HostDevice(tmp_path)
    found = runner_options(host, read_state(host), python=None, tools_dir=None, formats=[Format.ONNX, Format.ONNX])
    assert [each.format for each in found.options.options] == [Format.ONNX] * 4


@pytest.mark.parametrize(
    ("wanted", "python", "looked_up"),
    [
        (None, None, ["native", "native-glibc"]),
        ("auto", None, []),
        ("auto", "/no/python3", ["native"]),
        ("python", None, []),
        ("tool", None, []),
        ("native", None, ["native"]),
        ("native-glibc", None, ["native-glibc"]),
    ],
)
def test_native_runners_that_nobody_would_take_are_not_looked_up(
    tmp_path: Path, wanted: str | None, python: str | None, looked_up: list[str]
) -> None:
    host = HostDevice(tmp_path)
    found = runner_options(
        host, read_state(host), python=python, tools_dir=None, formats=[Format.ONNX], wanted=wanted
    ).options  # fmt: skip
    assert [each.runner for each in found.options if each.runner.startswith("native")] == looked_up


def test_any_of_the_runtimes_of_a_format_will_do() -> None:
    facts = PythonFacts(command="py", version=(3, 11, 0), modules=("numpy",))
    assert " or " in (facts.why_not(Format.TFLITE) or "")


def test_this_python_is_probed(tmp_path: Path) -> None:
    facts = probe_python(HostDevice(tmp_path), sys.executable)
    assert facts.version == sys.version_info[:3]
    assert "numpy" in facts.modules
    gone = probe_python(HostDevice(tmp_path), "/no/python3")
    assert gone.version is None and gone.complaint


@pytest.mark.parametrize("answer", ["", "[]\n", '{"version": [3, 11]}\n', '{"version": 3}\n', "Segmentation fault\n"])
def test_a_python_that_answers_nonsense_is_an_error(tmp_path: Path, answer: str) -> None:
    with pytest.raises(DeviceError, match="'python3' on 8BC1 answered nonsense"):
        probe_python(PhoneStub(tmp_path, {"python3": answer}), "python3")


def test_tools_are_found_by_abi_and_name(tmp_path: Path) -> None:
    assert find_tool(PERF_TEST, None, "x86_64") is None
    assert find_tool(PERF_TEST, tmp_path, "x86_64") is None
    similar = program(tmp_path / "x86_64" / "linux_onnxruntime_perf_test_v1", "exit 0")
    assert find_tool(PERF_TEST, tmp_path, "x86_64") == similar
    program(tmp_path / "x86_64" / "onnxruntime_perf_test_v2", "exit 0")
    assert find_tool(PERF_TEST, tmp_path, "x86_64") is None, "two that are similar are no choice"
    exact = program(tmp_path / "x86_64" / "onnxruntime_perf_test", "exit 0")
    assert find_tool(PERF_TEST, tmp_path, "x86_64") == exact


@pytest.mark.parametrize(
    ("machine", "abi", "runs"),
    [(62, "x86_64", True), (183, "aarch64", True), (40, "arm64-v8a", True), (183, "armeabi-v7a", False),
     (183, "x86_64", False), (183, "unknown", True)],
)  # fmt: skip
def test_programs_run_on_their_own_abi(tmp_path: Path, machine: int, abi: str, runs: bool) -> None:
    problem = abi_problem(elf(tmp_path / "tool", machine), abi)
    assert (problem is None) == runs
    if problem:
        assert "was built for arm64-v8a, the device is" in problem


def test_scripts_run_anywhere(tmp_path: Path) -> None:
    assert abi_problem(program(tmp_path / "tool", "exit 0"), "arm64-v8a") is None


def test_every_format_has_options_that_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEVIT_RUNNERS", str(tmp_path / "no runners"))
    host = HostDevice(tmp_path)
    found = runner_options(host, read_state(host), python="/no/python3", tools_dir=None).options
    assert [(each.format, each.runner) for each in found.options] == [
        (format, runner)
        for format in found_formats()
        for runner in ("python", "native", "native-glibc", TOOLS[format].name)
    ]
    assert not any(each.usable for each in found.options)
    assert all(each.why_not and each.how for each in found.options)
    native = next(each for each in found.options if each.runner == "native")
    assert native.verifies and "runner fetch --abi x86_64-linux" in native.how and native.is_brought
    formats = ",".join(found_formats())
    assert found.native_setup == (
        f"edgevit-export runner fetch --abi x86_64-linux --format {formats} && "
        "edgevit-export runner build --abi x86_64-linux"
    )
    assert [each.runner for each in found.options if each.experimental] == ["native-glibc"] * len(found_formats())
    tool = next(each for each in found.options if each.runner == "onnxruntime_perf_test")
    assert tool.why_not == "no --tools-dir was given" and f"TOOLS/{found.abi}/onnxruntime_perf_test" in tool.how
    assert not tool.verifies


@pytest.mark.parametrize("android", [False, True])
@pytest.mark.parametrize("natives", [(), (Format.ONNX,), (Format.ONNX, Format.TFLITE)])
@pytest.mark.parametrize("python", [sys.executable, "/no/python3"])
def test_what_is_told_of_auto_is_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, android: bool, natives: tuple[Format, ...], python: str
) -> None:
    def stored(_: object, format: Format, *__: object, own_glibc: bool) -> NativeFiles | Missing:
        there = format in natives and not own_glibc
        return native_files(tmp_path / "made", format) if there else Missing("not there", "bring it")

    monkeypatch.setattr(choose, "native_files", stored)
    host = HostDevice(tmp_path)
    state = msgspec.structs.replace(read_state(host), abi="x86_64", android_version="14" if android else None)
    program(tmp_path / "x86_64" / TOOLS[Format.PTE].name, "exit 0")
    for wanted in (None, "auto"):
        found = runner_options(host, state, python=python, tools_dir=tmp_path, wanted=wanted)
        taken: dict[Format, str | None] = {}
        for format in Format:
            try:
                taken[format] = choose_runner(found, "auto", format, tools_dir=tmp_path, android=android).name
            except MissingDependencyError:
                taken[format] = None
        assert found.options.auto == taken
    assert (taken[Format.ONNX] == "native") == (Format.ONNX in natives and (android or python == "/no/python3"))
    assert python == sys.executable or (taken[Format.PTL], taken[Format.PTE]) == (None, TOOLS[Format.PTE].name)


@pytest.mark.parametrize(
    ("version", "modules", "command"),
    [
        ((3, 11, 0), ("numpy", "onnxruntime", "tflite_runtime"), None),
        ((3, 11, 0), ("numpy", "onnxruntime"), "'my python' -m pip install ai-edge-litert"),
        ((3, 11, 0), (), "'my python' -m pip install numpy onnxruntime ai-edge-litert"),
        ((3, 10, 9), (), None),
        (None, (), None),
    ],
)
def test_one_command_brings_what_a_python_lacks(
    version: tuple[int, int, int] | None, modules: tuple[str, ...], command: str | None
) -> None:
    facts = PythonFacts(command="my python", version=version, modules=modules)
    assert facts.setup([Format.ONNX, Format.TFLITE]) == command


def found_formats() -> list[Format]:
    from runtimes.sessions.table import RUNTIMES

    return list(RUNTIMES)


def chosen(wanted: str, tools_dir: Path, *usable: str, android: bool = True) -> Runner:
    def option(runner: str) -> RunnerOption:
        why_not = None if runner in usable else f"no {runner}"
        return RunnerOption(
            format=Format.ONNX, runner=runner, usable=why_not is None, why_not=why_not, how="get it", verifies=True
        )

    facts = PythonFacts(command="py", version=(3, 11, 0), modules=())
    options = tuple(map(option, ("python", "native", "native-glibc", PERF_TEST.name)))
    native = {
        (Format.ONNX, name): native_files(tools_dir, own_glibc=name != "native") for name in usable if "native" in name
    }
    told = RunnerOptions(serial="8BC1", abi="x86_64", python=facts, options=options, auto={})
    found = FoundRunners(told, native)
    return choose_runner(found, wanted, Format.ONNX, tools_dir=tools_dir, android=android)


TOOL = "onnxruntime_perf_test"


@pytest.mark.parametrize(
    ("wanted", "usable", "android", "name"),
    [
        ("auto", ("python", "native", TOOL), False, "python"),
        ("auto", ("python", "native", TOOL), True, "native"),
        ("auto", ("python", TOOL), True, "python"),
        ("auto", ("native", TOOL), False, "native"),
        ("auto", ("native-glibc", TOOL), True, TOOL),
        ("python", ("python", "native", TOOL), True, "python"),
        ("native", ("python", "native", TOOL), False, "native"),
        ("native-glibc", ("python", "native-glibc", TOOL), True, "native-glibc"),
        ("tool", ("python", "native", TOOL), True, TOOL),
        (TOOL, ("python", TOOL), True, TOOL),
    ],
)
def test_the_choice(tmp_path: Path, wanted: str, usable: tuple[str, ...], android: bool, name: str) -> None:
    """What is experimental is never chosen by itself."""
    program(tmp_path / "x86_64" / TOOL, "exit 0")
    assert chosen(wanted, tmp_path, *usable, android=android).name == name


@pytest.mark.parametrize(
    ("wanted", "unused", "instead"),
    [
        ("auto", (), None),
        ("python", ("--tools-dir",), "tool"),
        ("native", ("--python", "--tools-dir"), "auto"),
        ("native-glibc", ("--python", "--tools-dir"), "auto"),
        ("tool", ("--python",), "python"),
        (TOOL, ("--python",), "python"),
        ("a tool", ("--python", "--tools-dir"), "auto"),
        ("pyhton", (), None),
    ],
)
def test_what_the_runner_would_not_look_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, unused: tuple[str, ...], instead: str | None
) -> None:
    """A word that is no runner is refused where the choices for the format are known."""
    monkeypatch.chdir(tmp_path)
    program(tmp_path / "a tool", "exit 0")
    if unused:
        with pytest.raises(UsageError) as refused:
            require_taken(wanted, python="py", tools_dir="tools")
        options, shown = ", ".join(unused), "'a tool'" if " " in wanted else wanted
        assert refused.value.message == f"{options} with --runner {shown}: no effect on that runner"
        assert refused.value.hint == f"leave out {options}, or ask for --runner {instead}"
    taken = {"--python": "py", "--tools-dir": "tools"} | dict.fromkeys(unused)
    require_taken(wanted, python=taken["--python"], tools_dir=taken["--tools-dir"])


@pytest.mark.parametrize(
    ("wanted", "reasons"),
    [("auto", "native: no native; python: no python; onnxruntime_perf_test: no onnx"), ("python", "python: no python$"),
     ("native", "native: no native$"), ("tool", "onnx: onnxruntime_perf_test: no onnx")],
)  # fmt: skip
def test_what_is_not_there_is_told_with_its_reasons(tmp_path: Path, wanted: str, reasons: str) -> None:
    with pytest.raises(MissingDependencyError, match=reasons) as error:
        chosen(wanted, tmp_path)
    assert (error.value.hint == "get it") == (wanted != "auto"), "what was asked for, and no search for others"
    assert error.value.message.startswith("nothing on 8BC1 (x86_64) can run onnx: ")


@pytest.mark.parametrize(
    ("machine", "words"), [(62, "built for a device like this"), (None, "for another ABI"), (3, "for another ABI")]
)
def test_a_tool_whose_abi_was_compared_is_not_blamed_for_it(tmp_path: Path, machine: int | None, words: str) -> None:
    """A script has none, and 32 bit on 64 is the vendor's choice."""
    tool = program(tmp_path / "mine", "exit 0") if machine is None else elf(tmp_path / "mine", machine)
    runner, subject = chosen(str(tool), tmp_path), onnx_subject(tmp_path / "m.onnx")
    planned = runner.plan_run(subject, tmp_path, "/there", key="k", round=0, workload=Workload())[1]
    with pytest.raises(DeviceError, match=words):
        runner.read(subject, planned, Finished(126, "sh: mine: Permission denied", ""), "m.onnx on 8BC1")


def test_a_binary_of_ones_own(tmp_path: Path) -> None:
    tool = program(tmp_path / "mine", "exit 0")
    assert chosen(str(tool), tmp_path).name == "onnxruntime_perf_test"
    with pytest.raises(DeviceError, match="built for arm64-v8a") as refused:
        chosen(str(elf(tmp_path / "arm", 183)), tmp_path)
    assert "get a build for x86_64" in (refused.value.hint or "")
    with pytest.raises(UsageError, match="choose auto, python, native, native-glibc, tool, onnxruntime_perf_test"):
        chosen("benchmark_model", tmp_path)
