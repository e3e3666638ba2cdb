"""Energy reports as rows."""

import msgspec
from report_records import energy_of

from validation.energy.tables import ENERGY_COLUMNS, ENERGY_RIGHT, energy_row


def test_a_row_says_what_the_report_says() -> None:
    report = msgspec.structs.replace(
        energy_of("a.onnx", 101.904), energy_sd_mj=0.456, power_mw=1698.7, duration_ms=60.0
    )
    row = dict(zip(ENERGY_COLUMNS, energy_row(report), strict=True))
    assert (row["artifact"], row["energy mJ"], row["± sd"]) == ("a.onnx", "101.90", "0.46")
    assert (row["power mW"], row["time ms"], row["verdict"]) == ("1699", "60.00", report.verdict)


def test_what_is_not_known_is_a_dash_and_numbers_stand_right() -> None:
    report = msgspec.structs.replace(energy_of("a.onnx", 1.0), energy_mj=None, energy_sd_mj=None)
    row = dict(zip(ENERGY_COLUMNS, energy_row(report), strict=True))
    assert (row["energy mJ"], row["± sd"]) == ("-", "-")
    assert row["threads"] == "1"
    assert set(ENERGY_COLUMNS) - set(ENERGY_RIGHT) == {"artifact", "verdict"}
