"""Names of timm: what they stand for, what was meant, and architectures as one line."""

from __future__ import annotations

import torchvision_operators  # noqa: F401

# isort: split
import pytest

from edgevit.errors import UsageError
from edgevit.sources import hub
from edgevit.sources.timm_names import (
    TimmName,
    describe_architecture,
    find_network,
    read_architecture,
)


def test_registered_names_bring_their_configuration() -> None:
    plain, tagged = find_network("resnet18"), find_network("resnet18.fb_ssl_yfcc100m_ft_in1k")
    assert plain.cfg["hf_hub_id"] == "timm/resnet18.a1_in1k"
    assert tagged.cfg["hf_hub_id"] == "timm/resnet18.fb_ssl_yfcc100m_ft_in1k"
    assert (plain.stem, tagged.stem) == ("resnet18", "resnet18.fb_ssl_yfcc100m_ft_in1k")


@pytest.mark.parametrize("name", ["hf-hub:timm/x.y", "hf_hub:timm/x.y", "timm/x.y"])
def test_a_repository_is_one_however_it_is_written(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"depth": 2, "num_classes": 7}
    monkeypatch.setattr(
        hub, "hub_config", lambda repository, **_: ({"architecture": "resnet18", "from": repository}, said)
    )
    found = find_network(name)
    assert found == TimmName("hf-hub:timm/x.y", {"architecture": "resnet18", "from": "timm/x.y"}, {"depth": 2})
    assert (found.stem, found.registered) == ("x.y", "resnet18")


def test_stems_are_file_names_and_differ_where_owners_do() -> None:
    stems = {TimmName(f"hf-hub:{name}", {}).stem for name in ("timm/x", "me/x", "you/x", "me/x@main")}
    assert len(stems) == 4 and "x" in stems
    assert not any(char in stem for stem in stems for char in "/:@")


@pytest.mark.parametrize(
    ("name", "words", "hint"),
    [
        ("mobilevit_zzs", "timm has no network 'mobilevit_zzs'", "timm:mobilevit_"),
        ("qqqqqqqq", "timm has no network 'qqqqqqqq'", "models --timm"),
        ("", "timm has no network ''", "models --timm"),
        ("resnet18.a9", "timm's resnet18 has no weights 'a9': it has .*a1_in1k", ""),
        ("local-dir:/tmp/x", "unknown source of networks in 'local-dir:/tmp/x'", "timm:hf-hub:OWNER/NAME"),
        ("esc\x1b[2J", r"no network 'esc\\x1b\[2J'", ""),
        ("RESNET18", "no network 'RESNET18'", "timm:resnet18 "),
        ("resnet18/../../x", "'resnet18/../../x' is no name of a repository", "--model timm:resnet18, "),
        ("hf-hub:timm/resnet18.a1_in1k/x", "no name of a repository", "--model timm:resnet18, "),
        ("mobilevit_zzs/", "no name of a repository", "did you mean timm:mobilevit_"),
        ("/etc/passwd", "no name of a repository", "models --timm"),
        ("a/" + "b" * 5000, "no name of a repository", "models --timm"),
        ("a/b\x00", r"'a/b\\x00' is no name", "models --timm"),
        ("hf-hub:", "'' is no name", "models --timm"),
        ("timm/resnet18@../../x", "'../../x' is no revision of timm/resnet18", "timm:resnet18"),
    ],
)
def test_what_timm_has_not(name: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        find_network(name)
    assert hint in str(caught.value.hint)


def test_an_architecture_is_written_and_read_back() -> None:
    told = describe_architecture({"embed_dims": (64, 128), "depth": 2, "drop": 0.1})
    assert told == '{"depth":2,"drop":0.1,"embed_dims":[64,128]}'
    assert read_architecture(told) == {"depth": 2, "drop": 0.1, "embed_dims": [64, 128]}


@pytest.mark.parametrize("name", ["checkpoint_path", "pretrained_cfg", "cache_dir", "num_classes"])
def test_what_is_no_architecture_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"names {name}, which is none of it"):
        describe_architecture({name: "x"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "no table"),
        ("{", "not valid JSON"),
        ('{"a":[1,{"b":70000}]}', "holds 70000"),
        ('{"a":-1e300}', "-1e.300"),
    ],
)
def test_architectures_of_strangers(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_architecture(text)
