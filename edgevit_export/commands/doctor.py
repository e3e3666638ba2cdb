"""``doctor``: versions, which formats can be exported and run here, and what to install for the rest."""

from __future__ import annotations

import importlib
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from edgevit.errors import MissingDependencyError, first_line
from edgevit.installation import install_extra
from edgevit.records import Record
from edgevit_export.commands.options import AsJson, Quiet
from edgevit_export.console import (
    Progress,
    print_command,
    print_line,
    print_note,
    print_record,
    print_table,
    print_text,
)
from export.formats.table import FORMATS
from export.manifest import tool_versions
from export.recipe import Format
from runtimes.sessions.table import require_sound_runtime

if TYPE_CHECKING:
    from runtimes.runners.native.survey import AbiSurvey, NativeSurvey

_PACKAGES = (
    "edgevit-export", "torch", "safetensors", "onnx", "onnxscript", "onnxsim", "onnxruntime", "litert-torch",
    "ai-edge-litert", "tflite-runtime", "executorch", "timm", "torchvision", "adbutils", "monsoon", "pyusb", "numpy",
    "pillow", "matplotlib",
)  # fmt: skip


@dataclass(frozen=True)
class DoctorOptions:
    """The options of ``doctor``."""

    as_json: AsJson = False
    quiet: Quiet = False


class Ability(Record):
    """Whether one thing can be done here. ``reason`` and ``install`` are empty when it can."""

    what: str
    able: bool
    reason: str = ""
    install: str = ""


class Diagnosis(Record):
    """All that ``doctor`` found; ``packages`` maps distribution name to version, installed ones only.

    ``native_runners`` are optional: what devices without Python are measured with.
    """

    schema_version: Literal[1] = 1
    python: str
    platform: str
    packages: dict[str, str]
    abilities: tuple[Ability, ...]
    native_runners: NativeSurvey


def diagnose(progress: Progress) -> Diagnosis:
    """Import what each format needs, since an installed package may still be broken, and collect versions."""
    from runtimes.runners.native.survey import survey_runners

    abilities: list[Ability] = []
    for row in FORMATS.values():
        with progress.step(f"checking {row.title}"):
            abilities.append(_can_use(f"export {row.format}", row.export_modules, row.extra))
            abilities.append(_can_run(row.format))
    abilities += [_can_reach_devices(), _can_use("Monsoon power monitor", ("Monsoon", "usb"), "monsoon")]
    abilities.append(_can_use("reports with plots", ("matplotlib", "jinja2"), "report"))
    with progress.step("checking timm"):
        abilities.append(_can_use_timm())
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Diagnosis(
        python=platform.python_version(),
        platform=system,
        packages=tool_versions(_PACKAGES),
        abilities=tuple(abilities),
        native_runners=survey_runners(),
    )


def _import_problem(module: str) -> str:
    """Why ``module`` cannot be used, or an empty string."""
    from export.quiet import quiet

    if find_spec(module) is None:
        return f"{module} not installed"
    try:
        with quiet():
            importlib.import_module(module)
    except Exception as error:  # a broken native library raises anything; doctor must report it and go on
        return f"{module} is broken: {type(error).__name__}: {error}".splitlines()[0]
    return ""


def _can_run(format: Format) -> Ability:
    what = f"run and verify {format}"
    try:
        require_sound_runtime(format)
    except MissingDependencyError as error:
        reason = error.message.removeprefix(f"cannot run {format}: ")
        return Ability(what=what, able=False, reason=reason, install=error.hint or "")
    return Ability(what=what, able=True)


def _can_use(what: str, modules: tuple[str, ...], extra: str) -> Ability:
    problems = [problem for module in modules if (problem := _import_problem(module))]
    if not problems:
        return Ability(what=what, able=True)
    return Ability(what=what, able=False, reason="; ".join(problems), install=install_extra(extra))


def _can_use_timm() -> Ability:
    """Whether timm can be imported, which takes a torchvision that fits this torch."""
    from edgevit.sources.timm_installed import timm_module
    from export.quiet import quiet

    what = "build timm's networks"
    try:
        with quiet():
            timm_module()
    except MissingDependencyError as error:
        reason = error.message.removeprefix("cannot use timm's networks: ")
        return Ability(what=what, able=False, reason=reason, install=error.hint or "")
    except Exception as error:  # broken in its own way, which the doctor must report and go on
        reason = f"timm is broken: {type(error).__name__}: {first_line(error)}"
        return Ability(what=what, able=False, reason=reason, install=install_extra("timm"))
    return Ability(what=what, able=True)


def _can_reach_devices() -> Ability:
    what = "devices over ADB"
    found = _can_use(what, ("adbutils",), "adb")
    if not found.able:
        return found
    import adbutils

    if shutil.which("adb") is None and not adbutils.adb_path():
        install = "install Android's platform-tools, e.g. apt-get install adb"
        return Ability(what=what, able=False, reason="no adb program", install=install)
    return found


def doctor(options: DoctorOptions) -> None:
    """Show what can be done here.

    Versions, which formats can be exported and run, what there is for native runners, and what to install for the rest.
    """
    diagnosis = diagnose(Progress())
    if options.as_json:
        print_record(diagnosis)
        return
    print_note(f"Python {diagnosis.python} on {diagnosis.platform}")
    print_table(("package", "version"), list(diagnosis.packages.items()))
    print_line()
    rows = [(a.what, "yes" if a.able else "no", a.reason) for a in diagnosis.abilities]
    print_table(("this machine can", "", "why not"), rows)
    for command in dict.fromkeys(a.install for a in diagnosis.abilities if a.install):
        print_line()
        print_text(f"to {'; '.join(a.what for a in diagnosis.abilities if a.install == command)}:")
        print_command(command)
    _print_native(diagnosis.native_runners)


def _print_native(found: NativeSurvey) -> None:
    """What there is for native runners, in words by which a machine without any lacks nothing."""
    print_line()
    stored = [each for each in found.abis if each.stored]
    where = found.problem or (f"in {found.home}" if stored else f"none is in {found.home}")
    print_text(f"native runners (optional, for devices without Python): {where}")
    if stored:
        columns = ("ABI", "formats", "usable", "programs", "libraries")
        print_table(columns, [_native_cells(each) for each in stored], alike=("usable",))
    for each in stored:
        for problem in dict.fromkeys(row.problem for row in each.stored if row.problem):
            names = ", ".join(row.name for row in each.stored if row.problem == problem)
            print_text(f"{names} for {each.abi}: {problem}")
    for each in (each for each in stored if each.mend):
        print_text(f"to complete those for {each.abi}:")
        print_command(each.mend)
    if not stored and not found.problem:
        print_text("to see what a device lacks:")
        print_command("edgevit-export devices --setup")
    _print_builders(found.abis)


def _print_builders(abis: Sequence[AbiSurvey]) -> None:
    """For which devices runners can be built here, and what to install for the others."""
    print_line()
    if builds := [each.abi for each in abis if each.builds]:
        print_text(f"native runners can be built here for {', '.join(builds)}")
    for why_not in dict.fromkeys(each.why_not for each in abis if not each.builds):
        lacking = [each for each in abis if each.why_not == why_not]
        print_text(f"native runners cannot be built here for {', '.join(each.abi for each in lacking)}: {why_not}")
        print_text(f"  {lacking[0].install}")


def _native_cells(found: AbiSurvey) -> Sequence[str]:
    programs = [row.name for row in found.stored if row.kind == "program"]
    libraries = [f"{row.name} {row.version or ''}".strip() for row in found.stored if row.kind == "library"]
    usable = "no" if any(row.problem for row in found.stored) else "yes"
    return (found.abi, ", ".join(found.formats) or "-", usable, ", ".join(programs) or "-", ", ".join(libraries) or "-")
