"""The scenarios by name."""

from __future__ import annotations

import pytest

from edgevit.errors import UsageError
from runtimes.power.scenarios import SCENARIOS, TABLE, VARIED, scenario_named


def test_ten_scenarios_make_the_table_and_unknown_ones_are_named() -> None:
    assert len(TABLE) == 10
    assert {scenario.name for scenario in VARIED} <= set(SCENARIOS)
    with pytest.raises(UsageError, match="unknown scenario 'claen'") as caught:
        scenario_named("claen")
    assert caught.value.hint == "did you mean 'clean'?"
