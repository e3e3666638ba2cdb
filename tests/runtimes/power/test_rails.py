"""Power rails of a Pixel, from its recorded dump."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from phone_stub import PhoneStub
from sampling import sampled

from edgevit.errors import MeterError, MissedReadingError
from runtimes.power.rails import RailsMeter, parse_rails

DATA = Path(__file__).parents[2] / "data" / "power"


DUMP = (DATA / "ipowerstats_oriole.txt").read_text()


def _rails_phone(tmp_path: Path, step_mj: float) -> PhoneStub:
    added: Iterator[int] = itertools.count()

    def dump() -> str:
        return DUMP.replace("42017.03", f"{42017.03 + step_mj * next(added):.2f}")

    return PhoneStub(tmp_path, {"dumpsys android.hardware.power.stats": dump})


def test_rails_are_read_from_the_meter_section_only() -> None:
    rails = parse_rails(DUMP)
    assert len(rails) == 5
    assert rails["[S2M_VDD_CPUCL2]:CPU(BIG)"] == 42017.03
    assert not any("AOC" in name for name in rails)
    assert parse_rails("============= PowerStats HAL 2.0 state residencies ==============\n a  1.00 mWs") == {}


def test_rails_keep_the_energy_between_the_first_and_the_last_reading(tmp_path: Path) -> None:
    meter = RailsMeter(_rails_phone(tmp_path, 5.0), rails=("CPU",), period_s=0.03)
    trace = sampled(meter, 0.3)
    readings = int(trace.meta["readings"])
    assert readings > 4
    assert float(np.sum(trace.power_mw)) / trace.rate_hz == pytest.approx(5.0 * (readings - 1), rel=0.25)
    assert trace.meta["rails"].count(":CPU(") == 3


def test_rails_keep_the_energy_of_a_hole_and_mark_it(tmp_path: Path) -> None:
    seconds = np.array([0.0, 1.0, 2.4, 6.4, 7.4])
    trace = RailsMeter(_rails_phone(tmp_path, 5.0)).trace_of(seconds, 800.0 * seconds[:, None])
    np.testing.assert_array_equal(np.flatnonzero(trace.lost), np.arange(48, 128))
    np.testing.assert_allclose(trace.power_mw, 800.0)


def test_rails_that_lack_in_one_dump_are_a_missed_reading(tmp_path: Path) -> None:
    phone = _rails_phone(tmp_path, 5.0)
    meter = RailsMeter(phone)
    meter.prepare()
    phone.answers["dumpsys android.hardware.power.stats"] = DUMP[: len(DUMP) // 2]
    with pytest.raises(MissedReadingError, match="are gone from the dump"):
        meter.read_once()


def test_rails_that_restart_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="restarted during the run"):
        sampled(RailsMeter(_rails_phone(tmp_path, -5.0), period_s=0.03))


def test_rails_by_name_list_the_choices(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match=r"no rail named MODEM: there are \[S10M_VDD_TPU\]:TPU"):
        RailsMeter(_rails_phone(tmp_path, 1.0), rails=("MODEM",)).prepare()


def test_phones_without_rails_say_so(tmp_path: Path) -> None:
    with pytest.raises(MeterError, match="tells no power rails"):
        RailsMeter(PhoneStub(tmp_path, {})).prepare()
