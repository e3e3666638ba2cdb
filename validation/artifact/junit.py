"""Verification as JUnit XML: one test suite per artifact, one test case per check.

Keeps to what both Jenkins' ``junit-10.xsd`` and GitLab read: ``testsuites`` / ``testsuite`` / ``testcase`` with
``failure``, ``error`` or ``skipped``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as xml

from edgevit.records import atomic_path
from validation.artifact.checks import Check, CheckStatus, VerifyReport

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {CheckStatus.FAILED: "failure", CheckStatus.MISSING: "error", CheckStatus.SKIPPED: "skipped"}


def junit_xml(reports: Sequence[VerifyReport], *, name: str = "edgevit-export verify") -> str:
    """The reports as one XML document.

    A failed check is a ``failure``, one that could not run for a missing package an ``error``: neither is green.
    """
    root = xml.Element("testsuites", name=name)
    suites = [_suite(report) for report in reports]
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in suites)))
    root.set("time", _seconds(sum(check.seconds for report in reports for check in report.checks)))
    root.extend(suites)
    xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def write_junit(reports: Sequence[VerifyReport], path: Path) -> None:
    """Write ``junit_xml`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(junit_xml(reports), encoding="utf-8")


def _suite(report: VerifyReport) -> xml.Element:
    suite = xml.Element("testsuite", name=_clean(report.file), timestamp=report.started_utc.removesuffix("Z"))
    suite.set("tests", str(len(report.checks)))
    for key, status in (("failures", CheckStatus.FAILED), ("errors", CheckStatus.MISSING)):
        suite.set(key, str(sum(check.status is status for check in report.checks)))
    suite.set("skipped", str(sum(check.status is CheckStatus.SKIPPED for check in report.checks)))
    suite.set("time", _seconds(sum(check.seconds for check in report.checks)))
    suite.extend(_case(check, report.file) for check in report.checks)
    return suite


def _case(check: Check, file: str) -> xml.Element:
    case = xml.Element("testcase", name=check.name, classname=_clean(file), time=_seconds(check.seconds))
    tag = _TAGS.get(check.status)
    text = _clean("\n".join(check.details))
    if tag is None:
        if text:
            xml.SubElement(case, "system-out").text = text
        return case
    outcome = xml.SubElement(case, tag, message=_clean(check.details[0] if check.details else check.status.value))
    if tag != "skipped":
        outcome.set("type", check.name)
    outcome.text = text
    return case


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def _seconds(value: float) -> str:
    return f"{value:.3f}"
