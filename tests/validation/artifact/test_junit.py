"""JUnit XML and table rows from reports, checked as a CI system and a reader would."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as xml

from hypothesis import given
from hypothesis import strategies as st
from verify_reports import FAILED, MISSING, PASSED, check, report

from validation.artifact.checks import CheckStatus
from validation.artifact.junit import junit_xml, write_junit


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
