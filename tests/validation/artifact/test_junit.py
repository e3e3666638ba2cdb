"""JUnit XML and table rows from reports, checked as a CI system and a reader would."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import pytest
from fake_sessions import FunctionSession, golden_set
from hypothesis import given
from hypothesis import strategies as st

from export.recipe import Format
from validation.artifact.checks import Check, CheckStatus, VerifyReport
from validation.artifact.junit import junit_xml, write_junit
from validation.artifact.parity import ParityReport, compare
from validation.artifact.tables import VERIFY_COLUMNS, reason_lines, verdict, verify_rows


def parity(error: float = 0.0) -> ParityReport:
    reference = np.array([[3.0, 1.0, 0.5]])
    session = FunctionSession({"x": (1, 1)}, ("y",), lambda _: {"y": (reference + error).astype(np.float32)})
    return compare(session, golden_set({"x": np.zeros((1, 1), np.float32)}, {"y": reference}))


def report(*checks: Check, compared: ParityReport | None = None, file: str = "s.onnx") -> VerifyReport:
    return VerifyReport(
        file=file,
        manifest=f"artifacts/{file}.json",
        started_utc="2026-01-02T03:04:05Z",
        format=Format.ONNX,
        checks=checks,
        parity=compared,
    )


def check(name: str, status: CheckStatus, *details: str, seconds: float = 0.25) -> Check:
    return Check(name=name, status=status, details=details, seconds=seconds)


PASSED = report(
    check("checksum", CheckStatus.PASSED), check("parity", CheckStatus.PASSED, "a remark"), compared=parity()
)
FAILED = report(
    check("checksum", CheckStatus.PASSED),
    check("parity", CheckStatus.FAILED, "error 1 on <input>", "worst & last", seconds=1.5),
    check("parity-extra", CheckStatus.SKIPPED, "not run"),
    compared=parity(0.5),
)
MISSING = report(check("load", CheckStatus.MISSING, "not verified: no runtime"))


def test_counts_outcomes_and_times() -> None:
    root = xml.fromstring(junit_xml([PASSED, FAILED, MISSING]))
    assert root.tag == "testsuites"
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "time")} == {
        "tests": "6",
        "failures": "1",
        "errors": "1",
        "time": "2.750",
    }
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["s.onnx"] * 3
    assert [suite.get("skipped") for suite in suites] == ["0", "1", "0"]
    assert suites[0].get("timestamp") == "2026-01-02T03:04:05"
    failure = suites[1].find("testcase[@name='parity']/failure")
    assert failure is not None
    assert failure.get("message") == "error 1 on <input>"
    assert failure.text == "error 1 on <input>\nworst & last"
    assert suites[1].find("testcase[@name='parity-extra']/skipped") is not None
    assert suites[2].find("testcase[@name='load']/error") is not None
    assert suites[0].findtext("testcase[@name='parity']/system-out") == "a remark"


def test_every_element_and_attribute_is_known_to_the_common_schema() -> None:
    known = {
        "testsuites": {"name", "tests", "failures", "errors", "time", "disabled"},
        "testsuite": {
            "name",
            "tests",
            "failures",
            "errors",
            "skipped",
            "time",
            "timestamp",
            "hostname",
            "id",
            "package",
        },
        "testcase": {"name", "classname", "time", "assertions", "status"},
        "failure": {"message", "type"},
        "error": {"message", "type"},
        "skipped": {"message"},
        "system-out": set(),
    }
    for element in xml.fromstring(junit_xml([PASSED, FAILED, MISSING])).iter():
        assert set(element.keys()) <= known[element.tag]


@given(st.text(), st.text())
def test_any_text_gives_readable_xml(detail: str, file: str) -> None:
    text = junit_xml([report(check("parity", CheckStatus.FAILED, detail), file=file)])
    root = xml.fromstring(text.encode())
    assert root.find(".//failure") is not None


def test_it_is_written_as_utf8(tmp_path: Path) -> None:
    write_junit([report(check("parity", CheckStatus.FAILED, "größer"))], tmp_path / "out.xml")
    assert xml.parse(tmp_path / "out.xml").getroot().find(".//failure[@message='größer']") is not None
    assert list(tmp_path.iterdir()) == [tmp_path / "out.xml"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [(PASSED, "passed"), (FAILED, "failed: parity"), (MISSING, "not verified: load")],
)
def test_verdicts(given: VerifyReport, expected: str) -> None:
    assert verdict(given) == expected


def test_rows_fit_the_columns() -> None:
    rows = verify_rows([PASSED, FAILED, MISSING])
    assert {len(row) for row in rows} == {len(VERIFY_COLUMNS)}
    passed = dict(zip(VERIFY_COLUMNS, rows[0], strict=True))
    assert (passed["inputs"], passed["top-1"], passed["SQNR dB"], passed["non-finite"]) == ("1", "100.0%", "300.0", "0")
    assert dict(zip(VERIFY_COLUMNS, rows[1], strict=True))["max error"] == "5.00e-01"
    assert rows[2][2:] == ("-",) * (len(VERIFY_COLUMNS) - 2)


def test_reasons_are_lines_and_long_lists_are_cut() -> None:
    assert reason_lines(PASSED) == ["parity: a remark"]
    assert reason_lines(FAILED)[:2] == ["parity: error 1 on <input>", "parity: worst & last"]
    assert not any("not run" in line for line in reason_lines(FAILED))  # the check before has said why
    many = report(check("contents", CheckStatus.FAILED, *(f"reason {i}" for i in range(9))))
    assert len(reason_lines(many, limit=3)) == 4
    assert reason_lines(many, limit=3)[-1] == "contents: and 6 more"


def test_a_report_without_a_comparison_never_passes() -> None:
    assert not report(check("checksum", CheckStatus.PASSED)).passed
    assert report(check("checksum", CheckStatus.PASSED)).exit_code == 1
