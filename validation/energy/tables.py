"""Energy reports as text: figures with their uncertainty, lines, and rows of tables that fit 80 columns."""

from __future__ import annotations

import math
from collections.abc import Sequence

from validation.energy.report import Check, EnergyReport, MethodEnergy
from validation.precision import tells_precision

ABSENT = "-"
METHOD_COLUMNS = ("method", "found", "energy mJ", "sd", "power mW", "time ms")
METHOD_RIGHT = METHOD_COLUMNS[1:]
CHECK_COLUMNS = ("check", "value", "limit", "unit", "passed")
CHECK_RIGHT = CHECK_COLUMNS[1:3]
INSIGNIFICANT = "yes*"  # passed, although beyond its limit
ENERGY_COLUMNS = ("artifact", "precision", "threads", "energy mJ", "per burst mJ", "top-1 %/mJ", "verdict")
ENERGY_RIGHT = ENERGY_COLUMNS[2:-1]
OPTIONAL = ("precision", "per burst mJ", "top-1 %/mJ")  # left out where no report tells it

_DIGITS = 4  # of a figure without uncertainty
_MOST_DECIMALS = 4  # of an uncertainty: 0.1 uJ is less than any meter tells of an inference
_NOTHING = 1e-6
_LARGE = 1e7  # no energy, power or time of an inference: a wrong unit, which must not break a table
_TWO_DIGITS_UP_TO = 3.545  # first digits of an uncertainty that is rounded to two of them: Particle Data Group, 5.3


def with_uncertainty(value: float | None, half: float | None) -> str:
    """``101.90 ± 0.25``: rounded where the uncertainty's one or two digits end; a dash where there is no figure."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if half is None or not math.isfinite(half):
        return number(value)
    if half < 10**-_MOST_DECIMALS or max(abs(value), half) >= _LARGE:
        return f"{number(value)} ± {number(half)}" if half >= 10**-_MOST_DECIMALS else f"{number(value)} ± 0"
    exponent = math.floor(math.log10(half))
    digits = (1 if half / 10**exponent < _TWO_DIGITS_UP_TO else 0) - exponent
    decimals = min(max(digits, 0), _MOST_DECIMALS)
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def number(value: float) -> str:
    """Four digits, and no exponent but for what is absurd; what is less than a millionth of its unit is nothing."""
    if not math.isfinite(value):
        return ABSENT
    if abs(value) < _NOTHING:
        return "0"
    if abs(value) >= _LARGE:
        return f"{value:.1e}".replace("e+0", "e").replace("e+", "e")
    text = f"{value:.{max(0, _DIGITS - 1 - math.floor(math.log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def headline(report: EnergyReport) -> str:
    """The figure, its uncertainty and the verdict on it, in one line."""
    if report.energy_mj is None:
        return f"energy per inference: unknown, {report.verdict}"
    figure = with_uncertainty(report.energy_mj, half_mj(report))
    return f"energy per inference: {figure} mJ (95 %), {report.verdict}"


def half_mj(report: EnergyReport) -> float | None:
    """Half of the figure's 95 % interval; None where nothing tells it."""
    if report.uncertainty_mj is None and report.interval_mj is not None:
        return (report.interval_mj[1] - report.interval_mj[0]) / 2
    return report.uncertainty_mj


def figure_lines(report: EnergyReport) -> list[str]:
    """What belongs to the figure: costs beside it, what the controls found, the efficiency."""
    lines = []
    if report.overhead_mj is not None:
        overhead = with_uncertainty(report.overhead_mj, report.overhead_uncertainty_mj)
        lines.append(f"overhead per burst: {overhead} mJ (95 %), beside its inferences")
    if report.control_mj is not None:
        control = with_uncertainty(report.control_mj, report.control_uncertainty_mj)
        lines.append(f"control windows: {control} mJ (95 %) each; no model ran in them")
    if report.efficiency_percent_per_mj is not None:
        lines.append(f"efficiency: {_efficiency(report)} top-1 %/mJ (95 %), accuracy as stated")
    return lines


def _efficiency(report: EnergyReport) -> str:
    value, half = report.efficiency_percent_per_mj, half_mj(report)
    if value is None or half is None or not report.energy_mj:
        return with_uncertainty(value, None)
    return with_uncertainty(value, value * half / report.energy_mj)


def method_rows(report: EnergyReport) -> list[tuple[str, ...]]:
    """The methods side by side, in ``METHOD_COLUMNS``; ± is half of a 95 % interval, sd the deviation of windows."""
    methods = (("aligned", report.aligned), ("regions", report.regions))
    rows = [
        _method_row(name, method, half_mj(report) if name == report.method and report.overhead_mj is None else None)
        for name, method in methods
        if method is not None
    ]
    if report.whole is not None and report.energy_mj and report.duration_ms:
        half = half_mj(report)
        power = None if half is None else half / report.duration_ms * 1e3
        rows.append(
            (
                report.method, ABSENT, with_uncertainty(report.energy_mj, half), ABSENT,
                with_uncertainty(report.power_mw, power), number(report.duration_ms),
            )
        )  # fmt: skip
    return rows


def methods_note(report: EnergyReport) -> str:
    """What the columns hold, to stand below the methods."""
    shared = "" if report.overhead_mj is None else ", overhead shared out"
    return f"means of windows{shared}; ± half of a 95 % interval; sd of windows"


def _method_row(name: str, method: MethodEnergy, half_of_figure_mj: float | None) -> tuple[str, ...]:
    """One method; that of the figure has the figure's uncertainty, which knows more than how windows scatter."""
    found = f"{method.found} of {method.wanted}"
    if not method.energies_mj:
        return name, found, ABSENT, ABSENT, ABSENT, ABSENT
    half = method.energy_uncertainty_mj if half_of_figure_mj is None else half_of_figure_mj
    return (
        name, found, with_uncertainty(method.energy_mean_mj, half),
        number(method.energy_sd_mj), with_uncertainty(method.power_mean_mw, method.power_uncertainty_mw),
        with_uncertainty(method.duration_mean_ms, method.duration_uncertainty_ms),
    )  # fmt: skip


def fact_lines(report: EnergyReport) -> list[str]:
    """What the figure rests on: background, tail, clocks, recording."""
    lines = []
    if (background := report.background) is not None:
        sides = ((background.before_mw, "before"), (background.after_mw, "after"))
        idle = " and ".join(f"{level:.0f} mW {place}" for level, place in sides if level is not None)
        way = "in the gaps" if background.method == "gaps" else "by the idle line"
        lines.append(f"background: {background.during_mw:.0f} mW {way}; idle {idle or 'unknown'}")
    if report.tail is not None:
        lines += [f"counted: {report.tail.convention}", _tail(report)]
    if report.alignment is not None:
        lines.append(_alignment(report))
    trace = report.trace
    snr = "" if report.snr is None else f", SNR {report.snr:.1f}"
    lines.append(
        f"trace: {trace.meter}, {trace.seconds:.1f} s at {trace.rate_hz:g} Hz, {trace.lost_share:.2%} lost{snr}"
    )
    return lines


def _tail(report: EnergyReport) -> str:
    assert report.tail is not None
    tail, text = report.tail, "tail: none seen"
    if tail.tail_ms > 0:
        text = f"tail: {tail.tail_ms:.0f} ms"
        if tail.tail_mj is not None:
            text += f" of {with_uncertainty(tail.tail_mj, tail.tail_uncertainty_mj)} mJ"
        if report.energy_with_tail_mj is not None and tail.tail_mj is not None:
            half = math.hypot(half_mj(report) or 0.0, tail.tail_uncertainty_mj or 0.0)
            text += f", {with_uncertainty(report.energy_with_tail_mj, half)} mJ with it"
    return text


def _alignment(report: EnergyReport) -> str:
    assert report.alignment is not None
    found, parts = report.alignment, [f"drift {report.alignment.drift_ppm:+.1f} ppm"]
    if found.residual_ms is not None:
        parts.append(f"within {found.residual_ms:.3f} ms")
    if found.longer_ms is not None:
        parts.append(f"stamps {abs(found.longer_ms):.3f} ms {'longer' if found.longer_ms > 0 else 'shorter'}")
    parts.append(f"{found.pulses} pulses")
    return "clocks: " + ", ".join(parts)


def verdict_line(report: EnergyReport) -> str:
    """The verdict and how many checks stand behind it."""
    failed = sum(not check.passed for check in report.checks)
    if not report.checks:
        return f"verdict: {report.verdict}"
    how = f"{failed} of {len(report.checks)} checks failed" if failed else f"all {len(report.checks)} checks passed"
    return f"verdict: {report.verdict}, {how}"


def check_rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    """All checks, in ``CHECK_COLUMNS``; an asterisk marks what is beyond its limit, but not significantly."""
    return [
        (
            check.name, "unknown" if check.value is None else number(check.value),
            f"{check.bound} {number(check.limit)}", check.unit, _passed(check),
        )
        for check in checks
    ]  # fmt: skip


def _passed(check: Check) -> str:
    if not check.passed or check.value is None:
        return "yes" if check.passed else "no"
    kept = check.value <= check.limit if check.bound == "at most" else check.value >= check.limit
    return "yes" if kept else INSIGNIFICANT


def energy_table(reports: Sequence[EnergyReport]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns, those of ``ENERGY_COLUMNS`` that say something, and one row per report in them."""
    rows = [_energy_row(report) for report in reports]
    said = {name for at, name in enumerate(ENERGY_COLUMNS) if any(row[at] != ABSENT for row in rows)}
    if not tells_precision(report.subject.precision for report in reports if report.subject):
        said.discard("precision")
    kept = [at for at, name in enumerate(ENERGY_COLUMNS) if name not in OPTIONAL or name in said]
    return tuple(ENERGY_COLUMNS[at] for at in kept), [tuple(row[at] for at in kept) for row in rows]


def _energy_row(report: EnergyReport) -> tuple[str, ...]:
    subject = report.subject
    return (
        subject.artifact if subject else ABSENT,
        (subject.precision if subject else None) or ABSENT,
        str(subject.threads) if subject else ABSENT,
        with_uncertainty(report.energy_mj, half_mj(report)),
        with_uncertainty(report.overhead_mj, report.overhead_uncertainty_mj),
        _efficiency(report),
        report.verdict,
    )
