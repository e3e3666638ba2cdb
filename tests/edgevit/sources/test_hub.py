"""Files of a hub's repository: from its cache, with the commit, never over a network that is not there."""

from __future__ import annotations

import torchvision_operators  # noqa: F401

# isort: split
import hashlib
import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub.constants
import msgspec
import pytest
import torch
from hub_cache import COMMIT, put

from edgevit.errors import FailureError, UsageError
from edgevit.sources.hub import hub_config, hub_file, hub_weights, read_config


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_the_first_name_that_the_cache_has_with_its_commit(cache: Path) -> None:
    put(cache, "timm/net", "pytorch_model.bin", b"old")
    found = hub_weights({"hf_hub_id": "timm/net", "architecture": "net"})
    assert (found.path.name, found.repository, found.revision) == ("pytorch_model.bin", "timm/net", COMMIT)
    put(cache, "timm/net", "model.safetensors", b"new")
    assert hub_weights({"hf_hub_id": "timm/net"}).path.read_bytes() == b"new"
    put(cache, "timm/net", "other.bin", b"named")
    assert hub_weights({"hf_hub_id": "timm/net", "hf_hub_filename": "other.bin"}).path.read_bytes() == b"named"
    assert hub_weights({"hf_hub_id": f"timm/net@{COMMIT}"}).revision == COMMIT


def test_another_commit_is_another_file(cache: Path) -> None:
    put(cache, "timm/net", "model.safetensors", b"new")
    with pytest.raises(
        FailureError,
        match=r"model.safetensors or pytorch_model.bin of timm/net is not in the hub.s cache, and nothing is",
    ):
        hub_weights({"hf_hub_id": "timm/net"}, revision="f" * 40)


def test_what_is_not_there_names_what_would_do_instead(cache: Path) -> None:
    with pytest.raises(FailureError, match=r"config.json of timm/gone: the cache .* HF_HUB_OFFLINE forbids") as caught:
        hub_file("timm/gone", ("config.json",))
    assert str(cache) in caught.value.message
    assert caught.value.hint == (
        "--weights random, or --checkpoint FILE with the weights, or HF_HOME=DIR of a cache that has them"
    )
    with pytest.raises(
        UsageError, match="no weights of net on a hub: timm has them at https://x alone"
    ) as caught_usage:
        hub_weights({"architecture": "net", "url": "https://x"})
    assert "--weights random" in str(caught_usage.value.hint)


@pytest.mark.parametrize("name", ["no/such/repository", "", "../x", "a/..", "a/b\x00", "a" * 97])
def test_what_no_repository_is_called(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a repository"):
        hub_file(name, ("config.json",))
    with pytest.raises(UsageError, match=r"'../x' is no revision of me/net"):
        hub_file("me/net", ("config.json",), "../x")


class Hub(ThreadingHTTPServer):
    """Answers as a hub does: ``files`` by their paths; 401 for what no repository is; counts what it was asked."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files, self.asked = files, list[str]()


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        data = self.server.files.get(self.path)
        known = data is not None or any(self.path.split("/")[1:3] == path.split("/")[1:3] for path in self.server.files)
        self.send_response(200 if data is not None else 404 if known else 401)
        if data is None:
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        if body:
            self.wfile.write(data or b"")

    def log_message(self, *_: object) -> None:
        pass


def point_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    main = "/timm/net/resolve/main"
    with Hub({f"{main}/config.json": b"{}", f"{main}/pytorch_model.bin": b"weights"}) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        point_to(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


def test_what_the_cache_has_not_is_downloaded_into_it_once(hub: Hub) -> None:
    found = hub_weights({"hf_hub_id": "timm/net"})
    assert (found.path.name, found.path.read_bytes(), found.revision) == ("pytorch_model.bin", b"weights", COMMIT)
    asked = list(hub.asked)
    assert [line for line in asked if line.startswith("GET")] == ["GET /timm/net/resolve/main/pytorch_model.bin"]
    assert hub_weights({"hf_hub_id": "timm/net"}) == found and hub.asked == asked


def test_a_hub_that_has_no_such_thing(hub: Hub) -> None:
    with pytest.raises(UsageError, match=r"other.json of timm/net: the repository has no such file"):
        hub_file("timm/net", ("other.json",))
    with pytest.raises(UsageError, match=r"config.json of timm/gone: the hub has no such repository") as caught:
        hub_config("timm/gone", hint="--model timm:gone")
    assert caught.value.hint == "--model timm:gone"
    assert len(hub.asked) < 8


def test_without_a_network_there_is_one_attempt_and_no_word_but_the_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"waits {seconds} s to try again"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        point_to(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(FailureError, match=r"cannot be asked: ConnectError: .*refused"):
            hub_file("timm/net", ("model.safetensors", "pytorch_model.bin"))
    assert capfd.readouterr() == ("", "") and not caplog.records


def test_the_configuration_of_a_repository(cache: Path) -> None:
    cfg = {"input_size": [3, 64, 64], "mean": [0.5, 0.5, 0.5]}
    put(cache, "me/net", "config.json", json.dumps({"architecture": "resnet18", "pretrained_cfg": cfg}).encode())
    found, arguments = hub_config("me/net")
    told = {"input_size": (3, 64, 64), "mean": (0.5, 0.5, 0.5), "architecture": "resnet18", "hf_hub_id": "me/net"}
    assert (found.items() >= told.items(), arguments, "url" in found) == (True, {}, False)
    flat = {"architecture": "resnet18", "num_classes": 7, **cfg}
    found, _ = read_config(json.dumps(flat).encode(), "me/net")
    assert (found["num_classes"], found["input_size"]) == (7, (3, 64, 64))
    hostile = {"file": "/etc/passwd", "url": "https://x", "hf_hub_id": "other/net", "custom_load": True, **flat}
    hostile |= {"model_args": {"depth": 2}}
    assert read_config(json.dumps(hostile).encode(), "me/net") == (found, {"depth": 2})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "holds no network of timm's"),
        (b'{"architectures": ["BertModel"]}', "holds no network of timm's: no architecture"),
        (b'{"architecture": "a", "pretrained_cfg": 3}', "no table pretrained_cfg"),
        (b'{"architecture": "a", "model_args": [1]}', "model_args that are no table"),
        (b'{"architecture": "a", "input_size": [3, 224]}', "Expected `array` of length 3"),
        (b'{"architecture": "a", "input_size": [3, 224, 99999999]}', "<= 8192"),
        (b'{"architecture": "a", "crop_pct": 0}', ">= 0.05"),
        (b'{"architecture": "a", "hf_hub_filename": "../../w.bin"}', "names weights outside of it"),
    ],
)
def test_repositories_of_something_else(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_config(data, "me/net")


def test_the_weights_of_a_name_are_those_of_the_cache(cache: Path) -> None:
    import timm
    from safetensors.torch import save_file

    from edgevit.rebuild import rebuild_model
    from edgevit.sources.from_timm import build_timm

    published = timm.create_model("mobilenetv3_small_050")
    save_file(published.state_dict(), cache / "w")
    put(cache, "timm/mobilenetv3_small_050.lamb_in1k", "model.safetensors", (cache / "w").read_bytes())
    model, spec = build_timm("mobilenetv3_small_050", input_size=(64, 64))
    weights = spec.weights
    assert (weights.source, weights.repository, weights.revision, weights.seed) == (
        "hub", "timm/mobilenetv3_small_050.lamb_in1k", COMMIT, None
    )  # fmt: skip
    assert weights.describe() == f"hub {weights.repository} at {COMMIT[:12]} (sha256 {(weights.sha256 or '')[:12]})"
    for found in (model, rebuild_model(spec)):
        assert torch.equal(found.state_dict()["conv_stem.weight"], published.state_dict()["conv_stem.weight"])
    assert torch.equal(
        rebuild_model(spec, cache / "w").state_dict()["conv_stem.weight"], published.state_dict()["conv_stem.weight"]
    )
    gone = msgspec.structs.replace(spec, weights=msgspec.structs.replace(weights, revision="f" * 40))
    with pytest.raises(FailureError, match="not in the hub's cache, and nothing is downloaded"):
        rebuild_model(gone)


def test_a_repository_of_ones_own(cache: Path) -> None:
    import timm
    from safetensors.torch import save_file

    from edgevit.rebuild import rebuild_model
    from edgevit.sources.from_timm import build_timm

    arguments = {"embed_dim": 48, "num_heads": 3, "depth": 2, "num_classes": 4, "img_size": 32}
    published = timm.create_model("deit_tiny_patch16_224", **arguments)
    save_file(published.state_dict(), cache / "w")
    put(cache, "me/net", "model.safetensors", (cache / "w").read_bytes())
    cfg = {
        "input_size": [3, 32, 32],
        "fixed_input_size": True,
        "num_classes": 4,
        "classifier": "head",
        "first_conv": "x",
    }
    config = {"architecture": "deit_tiny_patch16_224", "pretrained_cfg": cfg, "model_args": arguments}
    put(cache, "me/net", "config.json", json.dumps(config).encode())
    model, spec = build_timm("hf-hub:me/net")
    assert (spec.variant, spec.outputs[0].shape, spec.weights.repository) == ("timm:hf-hub:me/net", (1, 4), "me/net")
    assert "/" not in spec.name and spec.name.startswith("me_net-x") and spec.name.endswith("-32x32")
    for found in (model, rebuild_model(spec)):
        assert torch.equal(found.state_dict()["head.weight"], published.state_dict()["head.weight"])
    put(cache, "me/net", "config.json", json.dumps({**config, "model_args": {"checkpoint_path": "/x"}}).encode())
    with pytest.raises(UsageError, match="names checkpoint_path, which is none of it"):
        build_timm("hf-hub:me/net")
