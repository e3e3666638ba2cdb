"""Latency reports as rows: for consoles, Markdown and CSV alike."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections import Counter
from collections.abc import Collection, Sequence

from validation.latency.analysis import AT_START, LatencyReport
from validation.latency.compare import Comparison, Outcome
from validation.precision import tells_precision

LATENCY_COLUMNS = (
    "artifact", "precision", "device", "runner", "threads", "runs", "median ms", "95 % interval", "verdict", "outputs",
    "mean ± sd ms", "p90", "p95", "p99", "peak MB",
)  # fmt: skip
LATENCY_RIGHT = ("threads", "runs", "median ms", "95 % interval", "mean ± sd ms", "p90", "p95", "p99", "peak MB")
LATENCY_NAMES = ("artifact", "device", "threads")
"""What tells one row from another."""
LATENCY_ALIKE = ("precision", "device", "runner", "threads", "runs", "outputs")
"""What may be said once for all rows."""
ABSENT = "-"
_OUTCOMES = {
    Outcome.FASTER: "second is faster than first",
    Outcome.SLOWER: "second is slower than first",
    Outcome.SAME: "no real difference between first and second",
    Outcome.UNDECIDED: "cannot tell whether first and second differ",
}
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP = re.compile(r"[&<>|`\[\]\\*]")


def latency_rows(reports: Sequence[LatencyReport]) -> list[tuple[str, ...]]:
    """One row per report, in ``LATENCY_COLUMNS``."""
    return [_row(report) for report in reports]


def latency_table(reports: Sequence[LatencyReport]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows; the precision is told where it is another one than float32 anywhere."""
    rows = latency_rows(reports)
    if tells_precision(report.precision for report in reports):
        return LATENCY_COLUMNS, rows
    at = LATENCY_COLUMNS.index("precision")
    return _without(LATENCY_COLUMNS, at), [_without(row, at) for row in rows]


def _without(cells: tuple[str, ...], at: int) -> tuple[str, ...]:
    return cells[:at] + cells[at + 1 :]


def _row(report: LatencyReport) -> tuple[str, ...]:
    spread = ABSENT if report.sd_ms is None else milliseconds(report.sd_ms)
    low, high = report.median_low_ms, report.median_high_ms
    return (
        report.artifact,
        report.precision or ABSENT,
        report.device,
        report.runner,
        str(report.threads),
        str(report.count),
        milliseconds(report.median_ms),
        f"{milliseconds(low)} to {milliseconds(high)}" if low is not None and high is not None else ABSENT,
        str(report.verdict),
        report.verification,
        f"{milliseconds(report.mean_ms)} ± {spread}" if report.mean_ms is not None else ABSENT,
        milliseconds(report.p90_ms),
        milliseconds(report.p95_ms),
        milliseconds(report.p99_ms),
        ABSENT if report.peak_memory_bytes is None else f"{report.peak_memory_bytes / 1e6:.0f}",
    )


def milliseconds(value: float | None) -> str:
    """Four significant digits, never an exponent."""
    if value is None:
        return ABSENT
    digits = 4 if abs(value) < 1 else 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:.{digits}f}"


def reason_lines(reports: Sequence[LatencyReport], told: Collection[str] = ()) -> list[str]:
    """Why verdicts are not valid, and what else should be known: a line for each, with all that it holds for.

    ``told`` are reasons that the reader has before the eyes already.
    """
    found: dict[str, list[str]] = {}
    for report in reports:
        subject = f"{report.artifact} on {report.device}"
        name = f"{subject}, {report.threads} thread{'s' if report.threads != 1 else ''}"
        notes = (f"note: {note}" for note in report.notes if not note.startswith(AT_START))
        for text in (*report.reasons, *notes):
            if text not in told:
                found.setdefault(text.removeprefix(f"{subject}: "), []).append(name)
    lines = [f"{_all_of(names, len(reports))}: {text}" for text, names in found.items()]
    return lines + [f"{device}: note: {note}" for device, note in device_notes(reports)]


def _all_of(names: Sequence[str], measured: int) -> str:
    """Results by name, or all of them."""
    return f"all {measured} results" if len(names) == measured > 1 else "; ".join(dict.fromkeys(names))


def device_notes(reports: Sequence[LatencyReport]) -> list[tuple[str, str]]:
    """(device, what is said of its state at the start), once for all its reports that say the same but for numbers."""
    found: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        for note in report.notes:
            if note.startswith(AT_START):
                found.setdefault((report.device, re.sub(r"[\d.]+", "#", note)), []).append(note)
    measured = Counter(report.device for report in reports)
    return [
        (
            device if len(notes) == measured[device] else f"{device}, {len(notes)} of {measured[device]} results",
            notes[0],
        )
        for (device, _), notes in found.items()
    ]


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A Markdown table of plain texts, with a final newline."""
    rule = ["---:" if column in right else "---" for column in columns]
    plain = [[plain_markdown(cell) for cell in line] for line in (columns, *rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in (plain[0], rule, *plain[1:]))


def plain_markdown(text: str) -> str:
    """``text`` on one line as Markdown that shows it as it is: no name becomes HTML, a link, code, or a cell's end."""
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), " ".join(text.split()))


def latency_csv(reports: Sequence[LatencyReport]) -> str:
    """All numbers of the reports in full precision, one line per report; empty where not known."""
    lines = [_flat(report) for report in reports]
    buffer = io.StringIO()
    if lines:
        writer = csv.DictWriter(buffer, lines[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return buffer.getvalue()


def _flat(report: LatencyReport) -> dict[str, str]:
    cells: dict[str, str] = {}
    for name in report.__struct_fields__:
        value = getattr(report, name)
        if name == "trend":
            for part in ("growth", "p_value"):
                cells[f"trend_{part}"] = "" if value is None else repr(getattr(value, part))
        elif isinstance(value, tuple):
            cells[name] = "; ".join(value)
        else:
            cells[name] = "" if value is None else str(value)
    return cells


def comparison_lines(comparison: Comparison) -> list[str]:
    """A comparison for a person: medians, ratio with its interval, what the records differ in, the verdict in words."""
    lines = [f"first   {milliseconds(comparison.first_ms)} ms  {comparison.first}"]
    lines.append(f"second  {milliseconds(comparison.second_ms)} ms  {comparison.second}")
    if comparison.ratio is not None and comparison.ratio_low is not None and comparison.ratio_high is not None:
        lines.append(
            f"ratio   {comparison.ratio:.4f} (95 % between {comparison.ratio_low:.4f} and {comparison.ratio_high:.4f}, "
            f"p = {comparison.p_value:.2g})"
        )
    if unlike := [each.words for each in comparison.differences]:
        lines += textwrap.wrap(", ".join(unlike), 80, initial_indent="unlike  ", subsequent_indent=" " * 8)
    return [*lines, _OUTCOMES[comparison.outcome]]
