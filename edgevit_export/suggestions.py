"""What to type instead of what the command line did not understand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from edgevit.errors import UsageError

COMMANDS = (
    "bench",
    "compare",
    "devices",
    "doctor",
    "energy",
    "export",
    "inspect",
    "models",
    "paper",
    "report",
    "runner",
    "verify",
)
ENERGY_COMMANDS = ("analyze", "meters", "simulate")
RUNNER_COMMANDS = ("build", "fetch", "list")

_GROUPS = {"energy": ENERGY_COMMANDS, "runner": RUNNER_COMMANDS}
_IN_GROUPS = {
    **dict.fromkeys(("compile", "make", "create"), "build"),
    **dict.fromkeys(("get", "download", "install", "pull", "add", "setup"), "fetch"),
    **dict.fromkeys(("ls", "show", "status", "info"), "list"),
}
"""What other tools call the commands of a group."""

_EXPORT = "edgevit-export export --variant s --format ptl,onnx,tflite"
_BENCH = "edgevit-export bench artifacts/"
_VERIFY = "edgevit-export verify artifacts/"
_REPORT = "edgevit-export report results/"
_INSPECT = "edgevit-export inspect FILE"
OTHER_NAMES = {
    **dict.fromkeys(("convert", "build", "compile", "create", "make", "deploy", "optimize", "optimise"), _EXPORT),
    **dict.fromkeys(("quantize", "quantise"), f"artifacts are float32 alone; {_EXPORT}"),
    **dict.fromkeys(("visualize", "visualise", "plot", "draw", "graph", "table"), f"{_REPORT}, or {_INSPECT}"),
    **dict.fromkeys(("benchmark", "measure", "profile", "time", "latency", "perf"), _BENCH),
    **dict.fromkeys(("validate", "check", "test", "prove", "audit", "parity"), _VERIFY),
    **dict.fromkeys(("run", "infer", "predict", "eval", "evaluate"), f"{_VERIFY}, or {_BENCH}"),
    **dict.fromkeys(("info", "show", "view", "print", "describe", "cat"), _INSPECT),
    **dict.fromkeys(("list", "variants", "ls"), "edgevit-export models"),
    **dict.fromkeys(("install", "setup", "env", "version", "versions", "diagnose"), "edgevit-export doctor"),
    **dict.fromkeys(("adb", "device", "phones"), "edgevit-export devices"),
    **dict.fromkeys(("power", "monsoon", "analyze", "analyse"), "edgevit-export energy analyze TRACE --runs 50"),
    "meters": "edgevit-export energy meters",
    "simulate": "edgevit-export energy simulate",
    **dict.fromkeys(("fetch", "ndk", "native", "runners"), "edgevit-export runner --help"),
    **dict.fromkeys(("diff", "regression"), "edgevit-export compare BEFORE.json AFTER.json"),
    "help": "edgevit-export --help",
}
"""What other tools call their commands, and what serves here."""
_ALIKE = 0.75  # two letters exchanged in five are 0.8; "train" is 0.67 to "print", which is another word
_LEAST_START = 3  # letters that begin no two commands


def usage_error(message: str, command: str) -> UsageError:
    """What the parser refused, with the command that was probably meant."""
    meant = _command_for(message, command.partition(" ")[2])
    return UsageError(message.partition(" Did you mean")[0] if meant else message, hint=meant or f"{command} --help")


def command_in(arguments: Sequence[str]) -> str:
    """The command that ``arguments`` begin with, for errors that do not say in which they arose."""
    words = list(arguments[:1]) if arguments and arguments[0] in COMMANDS else []
    words += [word for word in arguments[1:2] if words and word in _GROUPS.get(words[0], ())]
    return " ".join(["edgevit-export", *words])


def _command_for(message: str, group: str) -> str | None:
    """What to type instead of a command that there is not, or not in its group."""
    start, _, rest = message.partition("'")
    if not start.startswith("No such command"):
        return None
    word = rest.partition("'")[0].lower()
    if group in _GROUPS and word not in COMMANDS:
        named = _nearest(_IN_GROUPS.get(word, word), _GROUPS[group])
        return f"did you mean 'edgevit-export {group} {named}'?" if named else None
    if word in OTHER_NAMES:
        return OTHER_NAMES[word]
    variant = re.sub("^edgevit[-_]?", "", word)
    if variant in _variants():
        return f"edgevit-export export --variant {variant}"
    close = _nearest(word, COMMANDS, OTHER_NAMES)
    return None if close is None else OTHER_NAMES.get(close, f"did you mean 'edgevit-export {close}'?")


def _nearest(word: str, names: Iterable[str], others: Iterable[str] = ()) -> str | None:
    """The one of ``names`` that begins with ``word``, else the one of all that is written much like it."""
    begun = [name for name in names if len(word) >= _LEAST_START and name.startswith(word)]
    return next(iter(begun or get_close_matches(word, [*names, *others], n=1, cutoff=_ALIKE)), None)


def _variants() -> tuple[str, ...]:
    from edgevit.network.variants import variants

    return tuple(variants())
