"""``devices``: what is attached, what it is, whether it is fit to measure; what can run there; bring it back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.errors import EdgevitExportError, UsageError
from edgevit.records import Record
from edgevit_export.commands.options import AsJson, Quiet, require_finite, split_list
from edgevit_export.console import (
    Failure,
    failure_of,
    print_command,
    print_line,
    print_note,
    print_records,
    print_table,
    print_text,
)

if TYPE_CHECKING:
    from runtimes.conditions.device_state import DeviceState
    from runtimes.devices.attached import AttachedDevice
    from runtimes.runners.choose import RunnerOption, RunnerOptions
    from validation.latency.fitness import Fitness


_COLUMNS = ("device", "fit", "model", "SoC", "system", "ABI", "temperature")


@dataclass(frozen=True)
class DevicesOptions:
    """The options of ``devices``."""

    device: Annotated[list[str] | None, typer.Option("--device", "-d", help="Only these; repeatable.")] = None
    setup: Annotated[
        bool, typer.Option("--setup", help="Which runner is taken for which format, how to get others.")
    ] = False
    restore: Annotated[bool, typer.Option("--restore", help="Undo what interrupted runs left changed.")] = False
    tools_dir: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Directory with TOOLS_DIR/<abi>/<tool>.")
    ] = None
    python: Annotated[str | None, typer.Option(help="The python3 on the device.")] = None
    max_temp: Annotated[float | None, typer.Option(help="Highest temperature that counts as fit, in °C.")] = None
    adb_server: Annotated[str | None, typer.Option(help="HOST:PORT of an adb server elsewhere.")] = None
    as_json: AsJson = False
    quiet: Quiet = False


class ListedDevice(Record):
    """One device of ``devices --json``: its state and fitness, or why they are not known; what a run left changed."""

    serial: str
    state: DeviceState | None = None
    fitness: Fitness | None = None
    error: Failure | None = None
    left_changed: str | None = None


def devices(options: DevicesOptions) -> None:
    """List the devices that can be measured on, this machine included."""
    _require_effect(options)
    require_finite(max_temp=options.max_temp)
    if options.restore:
        _restore(options)
    elif options.setup:
        _setup(options)
    else:
        _list(options)


def _require_effect(options: DevicesOptions) -> None:
    """Refuse options that the list, the survey of runners or the restoring has no use for.

    Raises:
        UsageError: There is one.
    """
    given = {
        "--setup": options.setup,
        "--tools-dir": options.tools_dir is not None,
        "--python": options.python is not None,
        "--max-temp": options.max_temp is not None,
    }
    mode, taken = "without --setup", ["--max-temp"]
    if options.restore:
        mode, taken = "with --restore", []
    elif options.setup:
        mode, taken = "with --setup", ["--setup", "--tools-dir", "--python"]
    if unused := ", ".join(option for option, is_given in given.items() if is_given and option not in taken):
        hint = f"leave out {unused}" if mode.startswith("with ") else "add --setup"
        raise UsageError(f"{unused} {mode}: no effect", hint=hint)


def _selected(options: DevicesOptions) -> list[AttachedDevice]:
    from edgevit.errors import DeviceError
    from runtimes.devices.select import list_devices

    wanted = split_list(options.device)
    listing = list_devices(options.adb_server)
    if listing.note:
        print_note(listing.note)
    found = [each for each in listing.devices if not wanted or each.serial in wanted]
    if absent := sorted(set(wanted) - {each.serial for each in found}):
        known = ", ".join(each.serial for each in listing.devices)
        raise DeviceError(f"not attached: {', '.join(absent)}; there are: {known}", hint="edgevit-export devices")
    return found


def _list(options: DevicesOptions) -> None:
    from runtimes.conditions.restore import left_changed
    from runtimes.conditions.state import read_state
    from runtimes.devices.select import select_device
    from validation.latency.fitness import fitness

    rows: list[tuple[str, ...]] = []
    records: list[ListedDevice] = []
    selected = _selected(options)
    left = left_changed()
    shown = left if not options.device else {each.serial: left[each.serial] for each in selected if each.serial in left}
    for serial, what in shown.items():
        print_note(f"{serial}: {what} (hint: edgevit-export devices --restore)")
    notes: list[str] = []
    reasons: dict[str, list[str]] = {}
    for each in selected:
        try:
            if not each.is_usable:
                raise EdgevitExportError(f"it is {each.state}", hint=each.hint)
            with select_device(each.serial, adb_server=options.adb_server) as device:
                state = read_state(device)
        except EdgevitExportError as error:
            rows.append((each.serial, "no", each.model or "-", "-", "-", "-", "-"))
            reasons.setdefault(error.message, []).append(each.serial)
            failure, changed = failure_of(error), left.get(each.serial)
            records.append(ListedDevice(serial=each.serial, error=failure, left_changed=changed))
            notes += [f"{each.serial}: {error.hint}"] if error.hint else []
            continue
        verdict = fitness(state, max_temp_c=options.max_temp)
        rows.append(_row(state, verdict))
        changed = left.get(each.serial)
        records.append(ListedDevice(serial=each.serial, state=state, fitness=verdict, left_changed=changed))
        for text in (*verdict.reasons, *(f"caution: {caution}" for caution in verdict.cautions)):
            reasons.setdefault(text, []).append(each.serial)
    if options.as_json:
        print_records(devices=records)
        return
    print_table(_COLUMNS, rows, alike=_COLUMNS[3:])
    for text, serials in reasons.items():
        print_text(f"{', '.join(serials)}: {text}")
    for note in notes:
        print_note(note)


def _row(state: DeviceState, verdict: Fitness) -> tuple[str, ...]:
    sensor = state.thermal.start_temperature()
    return (
        state.serial,
        "yes" if verdict.fit else "no",
        state.title,
        state.soc or "-",
        f"Android {state.android_version}" if state.android_version else state.system or "-",
        state.abi or "-",
        f"{sensor.value_c:.1f} °C ({sensor.name})" if sensor else "-",
    )


def _setup(options: DevicesOptions) -> None:
    from runtimes.conditions.state import read_state
    from runtimes.devices.select import select_device
    from runtimes.runners.choose import runner_options

    setups: list[RunnerOptions] = []
    for each in _selected(options):
        if not each.is_usable:
            print_note(f"{each.serial}: it is {each.state}: {each.hint}")
            continue
        try:
            with select_device(each.serial, adb_server=options.adb_server) as device:
                found = runner_options(device, read_state(device), python=options.python, tools_dir=options.tools_dir)
                setups.append(found.options)
        except EdgevitExportError as error:
            print_note(f"{each.serial}: {error.message}" + (f" (hint: {error.hint})" if error.hint else ""))
    if options.as_json:
        print_records(devices=setups)
        return
    for setup in setups:
        print_text(_auto_line(setup))
    print_line()
    looked = options.tools_dir is not None
    rows = [row for setup in setups for row in _rows(setup, tools=looked)]
    columns = ("runner", "device", "formats", "usable", "verifies", "why not")
    print_table(columns, rows, alike=("device", "verifies"), names=columns[:2])
    _print_ways(setups, tools=looked)


def _auto_line(setup: RunnerOptions) -> str:
    """What ``bench`` takes where ``--runner`` does not say it."""
    taken = {runner: [each for each, by in setup.auto.items() if by == runner] for runner in setup.auto.values()}
    told = "; ".join(f"{runner or 'nothing'} for {', '.join(formats)}" for runner, formats in taken.items())
    return f"{setup.serial} ({setup.abi}): --runner auto takes {told}"


def _rows(setup: RunnerOptions, *, tools: bool) -> list[tuple[str, ...]]:
    """A row for all formats of which the same is to be said, runner by runner.

    What is experimental is shown where it could be used, and a tool where it was looked for.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for option in setup.options:
        if option.usable or not (option.experimental or (_is_tool(option) and not tools)):
            words = ("yes" if option.usable else "no", "yes" if option.verifies else "no", option.why_not or "-")
            found.setdefault((option.runner, *words), []).append(option.format.value)
    order = list(dict.fromkeys(option.runner for option in setup.options))
    told = sorted(found.items(), key=lambda item: order.index(item[0][0]))
    return [(runner, setup.serial, ", ".join(formats), *words) for (runner, *words), formats in told]


def _is_tool(option: RunnerOption) -> bool:
    from runtimes.runners.tools import TOOLS

    return option.runner == TOOLS[option.format].name


def _print_ways(setups: list[RunnerOptions], *, tools: bool) -> None:
    """How to get what is missing; of the tools those that were looked for, or without which nothing runs a format."""
    commands = {f"the native runner for {each.abi}": each.native_setup for each in setups}
    commands |= {f"all packages for {each.serial}'s python, there": each.python_setup for each in setups}
    for what, command in commands.items():
        if command is not None:
            print_line()
            print_text(f"to have {what}:")
            print_command(command)
    for (runner, abi, how), formats in _other_ways(setups, tools=tools).items():
        print_line()
        print_text(f"{runner} for {', '.join(dict.fromkeys(formats))} on {abi}: {how}")
    if not tools:
        print_line()
        print_text("vendors' tools are looked for in --tools-dir; bench FILE --runner tool says how to get one")


def _other_ways(setups: list[RunnerOptions], *, tools: bool) -> dict[tuple[str, str, str], list[str]]:
    """Formats by runner, ABI and words on how to get it, for what no line of commands brings."""
    from runtimes.runners.native.launch import NATIVE

    ways: dict[tuple[str, str, str], list[str]] = {}
    for setup in setups:
        run = {option.format for option in setup.options if option.usable or option.is_brought}
        for option in setup.options:
            wanted = tools or option.format not in run if _is_tool(option) else option.runner == NATIVE
            if wanted and not option.usable and not option.is_brought:
                ways.setdefault((option.runner, setup.abi, option.how), []).append(option.format.value)
    return ways


def _restore(options: DevicesOptions) -> None:
    from edgevit.errors import RestoreError
    from runtimes.conditions.restore import restore_devices

    wanted, report = tuple(split_list(options.device)), print_note
    restored = restore_devices(wanted, adb_server=options.adb_server, report=report)
    if options.as_json:
        print_records(devices=restored)
    else:
        for each in restored:
            undone = ", ".join(each.undone) or "nothing to undo"
            print_line(f"{each.serial}: {f'failed: {each.problem}' if each.problem else undone}")
            if each.hint:
                print_note(f"{each.serial}: {each.hint}", is_error=bool(each.problem))
    if any(each.problem for each in restored):
        raise typer.Exit(RestoreError.exit_code)
