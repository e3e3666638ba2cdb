"""What each field of a ``DeviceRun`` means to a comparison: one row a field, and none may be missing (see the test).

A field that no row names is listed: what nobody has thought about yet may explain a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """What it means that two records differ in a field, gravest first."""

    QUESTION = "question"  # they answer different questions: nothing is judged
    GATE = "gate"  # another place or way of running: told, and no pass of a limit on regressions
    LISTED = "listed"  # may explain a difference, or is what was changed on purpose: told
    EXPECTED = "expected"  # differs between any two runs, or is told elsewhere


@dataclass(frozen=True)
class Rule:
    """One field, or all below it.

    Attributes:
        path: The field by its names from ``DeviceRun`` on; indices are left out.
        weight: What a difference in it means.
        words: What it is called; for ``EXPECTED`` the reason why it is not told.
        topic: The word by which ``--allow`` lets it differ, of ``QUESTION`` and ``GATE``.
    """

    path: str
    weight: Weight
    words: str
    topic: str = ""


def _rows(weight: Weight, topic: str, **words: str) -> tuple[Rule, ...]:
    """Rules by field; a double underscore stands for the dot."""
    return tuple(Rule(path.replace("__", "."), weight, told, topic) for path, told in words.items())


_MOVES = "moves by itself; what of it makes a run unfit is told by fitness"
_RESULT = "a result, not a condition"
_JUDGED = "the verdict on each record judges it"
_TOLD = "told by another field"

RULES: tuple[Rule, ...] = (
    *_rows(
        Weight.QUESTION,
        "input",
        artifact__inputs__shape="input",
        artifact__inputs__dtype="input type",
    ),
    *_rows(
        Weight.QUESTION,
        "network",
        artifact__network__variant="network",
        artifact__network__task="task",
        artifact__network__num_classes="classes",
        artifact__network__options="architecture options",
    ),
    *_rows(
        Weight.GATE,
        "device",
        rounds__before__kind="kind of device",
        rounds__before__manufacturer="manufacturer",
        rounds__before__model="model",
        rounds__before__soc="system on chip",
        rounds__before__abi="ABI",
        rounds__before__cpus__index="cores",
        rounds__before__cpus__hw_max_hz="cores' top clocks",
        rounds__before__cpus__capacity="cores' capacities",
    ),
    *_rows(
        Weight.GATE,
        "cores",
        workload__affinity="core mask",
        rounds__measured__cpus="cores used",
        rounds__before__cpus_allowed="cores allowed",
        rounds__before__cpu_quota="container limit (cores)",
        rounds__before__cpus__online="cores online",
    ),
    *_rows(Weight.GATE, "threads", workload__threads="threads"),
    *_rows(
        Weight.GATE,
        "clocks",
        rounds__before__cpus__governor="governor",
        rounds__before__low_power_mode="battery saver",
        conditions__fixed_performance="fixed performance mode",
    ),
    *_rows(Weight.GATE, "gap", workload__gap_ms="gap ms", workload__burst="burst"),
    *_rows(Weight.GATE, "runner", runner="runner"),
    *_rows(
        Weight.LISTED,
        "",
        device="device",
        artifact__format="format",
        artifact__sha256="file",
        artifact__network__weights="weights",
        artifact__recipe__precision="precision",
        artifact__recipe__calibration__count="calibration images",
        artifact__recipe__calibration__sha256="calibration",
        artifact__recipe__keep_float="layers kept float",
        artifact__recipe__reach_sqnr_db="SQNR asked for",
        artifact__recipe__reach_agreement="agreement asked for",
        artifact__recipe__optimize="optimisation",
        artifact__recipe__input_layout="input layout asked for",
        artifact__recipe__opset="opset",
        artifact__recipe__dynamic_batch="dynamic batch",
        artifact__recipe__ptl_bytecode="bytecode",
        artifact__recipe__ptl_prepacked="prepacked weights",
        artifact__inputs__layout="input layout",
        tool="tool",
        workload__runs="runs",
        workload__rounds="rounds",
        workload__warmup="warm-up",
        workload__idle_s="idle s",
        workload__gap_spread="spread of gaps",
        workload__burst_factors="lengths of bursts",
        workload__controls="controls",
        workload__seed="seed of the schedule",
        workload__pulses__busy_ms="sync pulses ms",
        workload__pulses__idle_ms="idle between sync pulses ms",
        conditions__max_temp_c="highest start temperature °C",
        conditions__cooldown_s="longest cool-down s",
        rounds__measured__runner="runner's version",
        rounds__measured__runtime="runtime",
        rounds__measured__files__name="runner's files",
        rounds__measured__files__sha256="runner's files",
        rounds__measured__files__version="versions of the runner's libraries",
        rounds__before__cpus__min_hz="lowest clocks allowed",
        rounds__before__cpus__max_hz="highest clocks allowed",
        rounds__before__system="system",
        rounds__before__android_version="Android",
        rounds__before__sdk="SDK",
        rounds__before__fingerprint="build",
        rounds__before__kernel="kernel",
        rounds__before__memory_total_bytes="memory",
        rounds__before__screen="screen",
        rounds__before__airplane_mode="airplane mode",
        rounds__before__is_root="root",
        rounds__before__missing="what could not be read",
        rounds__before__thermal__status="thermal status",
        rounds__before__thermal__source="source of temperatures",
        rounds__before__battery__charging="charging",
        rounds__before__battery__powered_by="power source",
        rounds__before__battery__frozen="frozen battery state",
    ),
    *_rows(
        Weight.EXPECTED,
        "",
        schema_version="the version of the record, not of the run",
        created_utc="any two runs differ in time",
        artifact__name="stands in the title",
        artifact__size_bytes=_TOLD,
        artifact__inputs__name="a name costs no time",
        artifact__recipe__format=_TOLD,
        artifact__recipe__schema_version="the version of the recipe's record",
        workload__timeout_s="a bound that ends a run, and changes nothing before",
        workload__schedule="drawn from what is asked for and its seed, which are told",
        rounds__index="counts the rounds",
        rounds__started_utc="any two runs differ in time",
        rounds__seconds=_RESULT,
        rounds__verification=_JUDGED,
        rounds__after=_JUDGED + ", against the state before",
        rounds__measured__samples=_RESULT,
        rounds__measured__controls=_RESULT,
        rounds__measured__warmup=_RESULT,
        rounds__measured__summary=_RESULT,
        rounds__measured__files__size_bytes=_TOLD,
        rounds__measured__load_ns=_RESULT,
        rounds__measured__first_ns=_RESULT,
        rounds__measured__peak_memory_bytes=_RESULT,
        rounds__measured__outputs_sha256="the verification judges the outputs",
        rounds__measured__phases=_RESULT,
        rounds__measured__pulses=_RESULT,
        rounds__measured__clocks="any two runs differ in time",
        rounds__before__schema_version="the version of the state's record",
        rounds__before__serial=_TOLD,
        rounds__before__unix_time_s="any two runs differ in time",
        rounds__before__uptime_s="any two runs differ in time",
        rounds__before__cpus__cur_hz=_MOVES,
        rounds__before__clusters="follows from the cores",
        rounds__before__thermal__temperatures=_MOVES,
        rounds__before__battery__level_percent=_MOVES,
        rounds__before__battery__temperature_c=_MOVES,
        rounds__before__battery__voltage_v=_MOVES,
        rounds__before__load_1min=_MOVES,
        rounds__before__memory_available_bytes=_MOVES,
        energy="the rounds, whose latencies are compared, ran without it",
        complete=_JUDGED,
        failure=_JUDGED,
        energy_failure="latencies are compared",
    ),
)
TOPICS = tuple(dict.fromkeys(rule.topic for rule in RULES if rule.topic))
