"""A report as files: what is rendered for which format, what is refused, and how it is written."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from paper_records import COMPARISON
from report_records import SMALL
from small_disk import mounted

from edgevit.errors import FailureError, MissingDependencyError, UsageError
from edgevit.installation import install_extra
from validation.report.files import ReportFormat, render_report, require_formats, write_report
from validation.report.rows import ReportData


def test_markdown_shows_the_plots_that_are_written_beside_it() -> None:
    data = ReportData(title="t", created_utc="", tool="", tables=(SMALL,))
    both = render_report(data, (ReportFormat.MD, ReportFormat.SVG))
    assert list(both) == ["plots/phone-latency.svg", "report.md"]
    assert b"](plots/phone-latency.svg)" in both["report.md"]
    assert b"](plots" not in render_report(data, (ReportFormat.MD,))["report.md"]


def test_the_ratios_are_drawn_where_any_network_has_both() -> None:
    data = ReportData(title="t", created_utc="", tool="", comparisons=(COMPARISON,))
    both = render_report(data, (ReportFormat.MD, ReportFormat.PNG, ReportFormat.SVG))
    assert list(both) == ["plots/table-2-1.png", "plots/table-2-1.svg", "report.md"]
    assert b"](plots/table-2-1.png)" in both["report.md"]
    unmeasured = msgspec.structs.replace(COMPARISON, rows=COMPARISON.rows[:1])
    none = render_report(msgspec.structs.replace(data, comparisons=(unmeasured,)), (ReportFormat.MD, ReportFormat.PNG))
    assert list(none) == ["report.md"]


def test_tables_need_no_drawing_library() -> None:
    program = (
        "import sys\n"
        "from validation.report.files import ReportFormat, render_report\n"
        "from validation.report.paper import paper_report_tables\n"
        "from validation.report.rows import ReportData\n"
        "data = ReportData(title='t', created_utc='', tool='', tables=paper_report_tables())\n"
        "done = render_report(data, (ReportFormat.MD, ReportFormat.CSV))\n"
        "print(sorted(done), {'matplotlib', 'jinja2'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['report.csv', 'report.md'] set()"


@pytest.mark.parametrize(
    ("package", "refused", "accepted"),
    [("matplotlib", ReportFormat.PNG, ReportFormat.CSV), ("jinja2", ReportFormat.HTML, ReportFormat.SVG)],
)
def test_what_cannot_be_rendered_is_refused_early(
    package: str, refused: ReportFormat, accepted: ReportFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else found(name))
    require_formats([accepted])
    with pytest.raises(MissingDependencyError, match=f"{package} is not installed") as caught:
        require_formats([refused])
    assert caught.value.hint == install_extra("report")


def test_files_are_written_below_the_directory_or_the_refusal_names_the_file(tmp_path: Path) -> None:
    written = write_report({"plots/a.svg": b"1", "report.md": b"2"}, tmp_path / "new")
    assert [path.read_bytes() for path in written] == [b"1", b"2"]
    (tmp_path / "plots").write_text("a file where a directory should be")
    with pytest.raises(UsageError, match=r"cannot write .*a\.svg"):
        write_report({"plots/a.svg": b"1"}, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_disk_that_fills_names_the_files_that_are_whole(tmp_path: Path) -> None:
    with mounted(tmp_path / "small", size_kib=64) as small:
        with pytest.raises(FailureError) as caught:
            write_report({"a.csv": b"1", "b.csv": b"2", "large.html": bytes(100_000)}, small)
        assert caught.value.message == (
            f"cannot write {small}/large.html: No space left on device; written before it: {small}/a.csv, {small}/b.csv"
        )
        assert sorted(path.name for path in small.iterdir()) == ["a.csv", "b.csv"]
    with mounted(tmp_path / "small", size_kib=4) as small, pytest.raises(FailureError, match="no file was written"):
        write_report({"large.html": bytes(100_000)}, small)


def test_what_is_drawn_next_is_told() -> None:
    data = ReportData(title="t", created_utc="", tool="", tables=(SMALL,))
    told: list[str] = []
    rendered = render_report(data, tuple(ReportFormat), told.append)
    assert told == ["drawing phone-latency", "drawing report.html"]
    assert list(rendered) == [
        "report.csv", "plots/phone-latency.png", "plots/phone-latency.svg", "report.md", "report.html"
    ]  # fmt: skip
    assert b"](plots/phone-latency.png)" in rendered["report.md"]


def test_names_that_are_no_text_are_written_as_they_are_shown() -> None:
    data = ReportData(title="t", created_utc="", tool="", notes=(os.fsdecode(b"mod\xe8le"),), tables=(SMALL,))
    rendered = render_report(data, (ReportFormat.MD, ReportFormat.HTML))
    assert rb"mod\xe8le" in rendered["report.md"] and rb"mod\xe8le" in rendered["report.html"]
