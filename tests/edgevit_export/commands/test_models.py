"""``models``: our counts beside the paper's figures, without torch."""

import json
import subprocess
import sys

import pytest

from edgevit_export.__main__ import run


def test_models_lists_the_paper_beside_our_counts(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    rows = {row["config"]["name"]: row for row in json.loads(capfd.readouterr().out)["variants"]}
    assert round(rows["s"]["complexity"]["parameters"] / 1e6, 2) == 13.11
    assert rows["s"]["paper_latency"]["top1_pct"] == 81.0
    assert rows["s-table1"]["paper_latency"] is None


def test_models_needs_no_torch() -> None:
    """``sys.modules[name] = None`` makes importing it fail, and hides it from ``find_spec``."""
    code = "import sys; sys.modules['torch'] = None; from edgevit_export.__main__ import run; sys.exit(run(['models']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "xs-table1" in done.stdout


def test_tables_are_plain_text_when_piped(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["models"]) == 0
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert "48, 96, 240, 384" in out


def test_timms_networks_are_listed_by_their_names(capfd: pytest.CaptureFixture[str]) -> None:
    import torchvision_operators  # noqa: F401

    assert run(["models", "--timm", "mobilevit_*", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert [network["name"] for network in told["networks"]] == ["mobilevit_s", "mobilevit_xs", "mobilevit_xxs"]
    assert run(["models", "--timm", "mobilevit_*"]) == 0
    shown = capfd.readouterr()
    assert "mobilevit_xxs  1.27 M  3x256x256  cvnets_in1k" in shown.out
    assert "edgevit-export --model timm:mobilevit_s" in shown.err
    assert run(["models", "--timm", "resnet*"]) == 0
    assert "parameters are counted where fewer are listed" in capfd.readouterr().err
    assert run(["models", "--timm", "x*", "--input-size", "64"]) == 2
