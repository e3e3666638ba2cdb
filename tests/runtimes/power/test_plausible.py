"""What no trace can hold is refused with its likely cause; what one can is let through."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest

from edgevit.errors import MeterError
from runtimes.power.plausible import check_agreement, check_finite, check_plausible
from runtimes.power.trace import PowerTrace

COUNT = 1000


def _check(
    *,
    rate_hz: float = 5000.0,
    current_ma: float | None = 300.0,
    voltage_v: float | None = 3.85,
    power_mw: float = 1155.0,
    noise_mw: float = 0.0,
    units: Collection[str] | None = (),
) -> None:
    noise = np.random.default_rng(0).normal(0, 1, COUNT)
    check_plausible(
        "x.csv",
        rate_hz=rate_hz,
        power_mw=power_mw + noise_mw * noise,
        current_ma=None if current_ma is None else np.full(COUNT, current_ma),
        voltage_v=None if voltage_v is None else np.full(COUNT, voltage_v),
        units=units,
    )


@pytest.mark.parametrize("own", [True, False])
def test_ordinary_traces_pass(own: bool) -> None:
    units = None if own else ()
    for rate_hz in (20.0, 50.0, 5000.0, 10_000.0):
        _check(rate_hz=rate_hz, units=units)
    for volts in (0.6, 1.2, 3.85, 5.0, 12.0, 48.0):
        _check(voltage_v=volts, units=units)
    _check(current_ma=None, voltage_v=None, units=units)
    _check(power_mw=40.0, noise_mw=40.0 / 3, units=units)


def test_our_own_traces_may_hold_nothing_at_all() -> None:
    _check(current_ma=0.0, power_mw=0.0, units=None)
    _check(current_ma=float("nan"), voltage_v=float("nan"), power_mw=float("nan"), units=None)
    _check(power_mw=0.0, noise_mw=1.0, units=None)
    _check(power_mw=300_000.0, current_ma=None, voltage_v=None, units=None)  # a server's packages


@pytest.mark.parametrize(
    ("values", "words", "hint"),
    [
        ({"rate_hz": 5.0}, r"5 samples a second .*expected 15 to 15000.* look like ms or us, not s", "--units time=ms"),
        ({"rate_hz": 10.0}, "look like ms", "--units time=ms"),
        ({"rate_hz": 50_000.0}, "times look like s, not ms", "--units time=s"),
        ({"voltage_v": 3850.0}, r"voltage of 3850 V .*expected 0\.5 to 60 V; it looks like mV", "--units voltage=mV"),
        ({"voltage_v": 3.85e6}, "looks like uV", "--units voltage=uV"),
        ({"voltage_v": 0.00385}, "it looks like V", "--units voltage=V"),
        ({"voltage_v": -3.85}, "it looks like -V", "--units voltage=-V"),
        ({"current_ma": -300.0}, r"current is negative, 100% of it: .*negated", "--units current=-mA"),
        ({"power_mw": -1155.0}, r"power is negative, 100% of it: .*negated", "--units power=-mW"),
        ({"power_mw": 100.0, "noise_mw": 150.0}, "charged in between", "while nothing charges"),
        ({"power_mw": 1.155}, r"1\.155 mW .*expected 20 to 100000 mW .*current looks like A", "--units current=A"),
        ({"power_mw": 1155e3}, "looks like uA", "--units current=uA"),
        ({"power_mw": 1.155, "current_ma": None, "voltage_v": None}, "power looks like W", "--units power=W"),
        ({"power_mw": 1155e3, "current_ma": None, "voltage_v": None}, "power looks like uW", "--units power=uW"),
    ],
)
def test_wrong_units_are_refused_with_the_option_that_mends_it(
    values: dict[str, float | None], words: str, hint: str
) -> None:
    with pytest.raises(MeterError, match=words) as caught:
        _check(**values)  # type: ignore[arg-type]  # units stay as they are
    assert caught.value.hint is not None and hint in caught.value.hint


def test_single_samples_beyond_any_supply_are_refused() -> None:
    power = np.full(COUNT, 1155.0)
    power[[3, 7]] = np.nan, 11.55e6
    with pytest.raises(MeterError, match=r"1\.155e\+07 mW in sample 7: expected at most 1e\+06 mW at any moment"):
        check_plausible("x.csv", rate_hz=5000.0, power_mw=power, current_ma=None, voltage_v=None, units=())


def test_a_unit_that_the_user_states_is_no_longer_doubted_but_has_to_be_possible() -> None:
    _check(rate_hz=2.0, units=("time",))
    _check(rate_hz=100_000.0, units=("time",))
    _check(power_mw=5.0, units=("current",))
    for values in ({"rate_hz": 0.2}, {"voltage_v": 3850.0}, {"current_ma": -300.0}, {"power_mw": 1155e3}):
        with pytest.raises(MeterError, match="expected"):
            _check(**values, units=("time", "current", "voltage", "power"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [{"rate_hz": 0.2}, {"voltage_v": 3850.0}, {"voltage_v": 0.1}, {"current_ma": -300.0}, {"power_mw": -1.0}],
)
def test_our_own_traces_are_held_to_what_is_possible(values: dict[str, float]) -> None:
    with pytest.raises(MeterError, match="expected") as caught:
        _check(**values, units=None)  # type: ignore[arg-type]
    assert "--units" not in (caught.value.hint or "")


@pytest.mark.parametrize(("name", "word"), [("current_ma", "current"), ("voltage_v", "voltage"), ("power_mw", "power")])
def test_infinite_values_are_refused(name: str, word: str) -> None:
    for units in (None, ()):
        with pytest.raises(MeterError, match=rf"the {word} of sample 0 is infinite"):
            _check(**{name: float("inf")}, units=units)  # type: ignore[arg-type]


def test_recordings_of_days_are_refused() -> None:
    power = np.full(3_000_000, 1155.0)
    with pytest.raises(MeterError, match="at most a day"):
        check_plausible("x.csv", rate_hz=20.0, power_mw=power, current_ma=None, voltage_v=None, units=())


def test_power_has_to_be_current_times_voltage() -> None:
    product = 1155.0 + np.random.default_rng(0).normal(0, 20, COUNT)
    check_agreement("x.csv", product * 1.01, product)
    check_agreement("x.csv", np.where(np.arange(COUNT) % 3, product, np.nan), product)
    check_agreement("x.csv", np.zeros(COUNT), np.zeros(COUNT))
    for power, words, hint in (
        (product * 1.03, "differ by 3.0%: expected within 2%", "of different channels"),
        (product / 1e3, "says 1.15. mW in the mean, current times voltage 115. mW", "--units power=W"),
        (-product, "says -115. mW", "--units power=-mW"),
        (np.roll(np.linspace(500, 2000, COUNT), 500), "single samples differ", "--units"),
    ):
        with pytest.raises(MeterError, match=words) as caught:
            check_agreement("x.csv", power, product)
        assert caught.value.hint is not None and hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("power_mw", np.inf, "the power of sample 1 is infinite"),
        ("current_ma", -np.inf, "the current of sample 1 is infinite"),
        ("voltage_v", np.inf, "the voltage of sample 1 is infinite"),
        ("power_mw", 2e8, "the power of sample 1 is 2e[+]08 mW, expected 1e[+]08 at most"),
        ("power_mw", -2e8, "the power of sample 1 is -2e[+]08 mW"),
    ],
)
def test_no_trace_holds_what_no_meter_can_have_measured(name: str, value: float, words: str) -> None:
    arrays = {key: np.array([4.0, 4.0, np.nan]) for key in ("power_mw", "current_ma", "voltage_v")}
    arrays[name][1] = value
    with pytest.raises(MeterError, match=words):
        check_finite("x", **arrays)
    with pytest.raises(MeterError, match=words):
        PowerTrace(5000.0, flags=np.zeros(3, np.uint8), **arrays)
