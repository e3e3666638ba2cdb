"""The built-in variants and the ablation options."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from edgevit.errors import UsageError
from edgevit.network.variants import Delegate, Propagation, find_variant, variants


def test_variants_are_those_of_the_published_code_and_of_table_1() -> None:
    seen = {name: (config.channels, config.blocks, config.heads) for name, config in variants().items()}
    wide, heads = (48, 96, 240, 384), (1, 2, 5, 8)
    assert seen == {
        "xxs": ((36, 72, 144, 288), (1, 1, 3, 2), (1, 2, 4, 8)),
        "xs": (wide, (1, 1, 3, 1), heads),
        "s": (wide, (1, 2, 5, 3), heads),
        "xs-table1": (wide, (1, 1, 2, 2), heads),
        "s-table1": (wide, (1, 2, 3, 2), heads),
    }


@pytest.mark.parametrize("name", ["s", "S", " s ", "edgevit-s", "EdgeViT_S", "edgevits"])
def test_names_are_forgiving(name: str) -> None:
    assert find_variant(name).name == "s"


def test_unknown_variant_lists_choices_and_the_closest() -> None:
    with pytest.raises(
        UsageError, match=r"unknown variant 'xsx': choose from s, s-table1, xs, xs-table1, xxs"
    ) as caught:
        find_variant("xsx")
    assert caught.value.hint == "did you mean 'xs'?"
    assert caught.value.exit_code == 2


def test_options_say_what_differs_from_the_paper() -> None:
    config = find_variant("xxs")
    assert config.options() == {}
    changed = config.with_options(delegate=Delegate.MAX, propagation=Propagation.NONE, aggregation=False)
    assert changed.options() == {"delegate": "max", "propagation": "none", "aggregation": "off"}
    assert changed.with_options() == changed
    assert changed.with_options(delegate=Delegate.CENTER, aggregation=True).options() == {"propagation": "none"}


def test_size_multiple_follows_the_sample_rates() -> None:
    config = find_variant("xxs")
    assert config.size_multiple == 32
    assert msgspec.structs.replace(config, sample_rates=(8, 4, 2, 2)).size_multiple == 64
    assert msgspec.structs.replace(config, sample_rates=(3, 1, 1, 1)).size_multiple == 96


def test_listing_imports_no_torch() -> None:
    modules = ", ".join(
        f"edgevit.{name}"
        for name in ("network.config_file", "network.describe", "paper", "labels", "network.complexity", "build")
    )
    program = (
        f"import sys, {modules}; from edgevit.network.variants import variants; variants(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
