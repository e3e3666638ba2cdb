"""Files of a hub's repository, from huggingface_hub's own cache or downloaded into it, with their commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit.errors import FailureError, UsageError, first_line
from edgevit.text import parse_json, printable, read_bytes

CONFIG = "config.json"
CONFIG_BYTES = 2**20  # chosen: those of 1000 classes with their names have 60 kB
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""In the order in which timm looks for them."""
_EVALUATION = (
    "input_size", "test_input_size", "min_input_size", "fixed_input_size", "interpolation", "crop_pct", "test_crop_pct",
    "crop_mode", "mean", "std", "num_classes", "pool_size", "first_conv", "classifier", "tag", "hf_hub_filename",
)  # fmt: skip
"""Of a repository's table: how the network is made and was evaluated."""
_IN_STEAD = "--checkpoint FILE with the weights, or --weights random"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository in the cache; ``revision`` is the commit."""

    path: Path
    repository: str
    revision: str


def hub_config(repository: str, *, download: bool = True) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """What a repository's ``config.json`` says; ``repository`` may end in ``@revision``. See ``read_config``.

    Raises:
        UsageError: It is no repository of timm's networks.
        FailureError: It is neither in the cache nor to be downloaded.
    """
    name, _, revision = repository.partition("@")
    found = hub_file(name, (CONFIG,), revision or None, download=download)
    data = read_bytes(found.path, what=CONFIG, limit_bytes=CONFIG_BYTES, failure=UsageError)
    return read_config(data, repository)


def read_config(data: bytes, repository: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """The ``pretrained_cfg`` of a repository, and the arguments of its network's class; older ones have one table.

    Where its weights are is the repository itself, whatever else the table says: it may be a stranger's.

    Raises:
        UsageError: It is none of timm's.
    """
    config = parse_json(data, origin=f"{CONFIG} of {repository}", failure=UsageError)
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise UsageError(
            f"the repository {printable(repository)} holds no network of timm's: no architecture in {CONFIG}"
        )
    inner = config.get("pretrained_cfg", config)
    if not isinstance(inner, dict):
        raise UsageError(f"{CONFIG} of {printable(repository)} has no table pretrained_cfg")
    classes = {"num_classes": config["num_classes"]} if "num_classes" in config else {}
    known = {key: value for key, value in {**inner, **classes}.items() if key in _EVALUATION}
    arguments = config.get("model_args", {})
    if not isinstance(arguments, dict):
        raise UsageError(f"{CONFIG} of {printable(repository)} has model_args that are no table")
    return {**known, "architecture": config["architecture"], "hf_hub_id": repository}, arguments


def hub_weights(cfg: Mapping[str, object], revision: str | None = None) -> HubFile:
    """The weights file that a ``pretrained_cfg`` names; of a ``revision`` that a record names, from the cache alone.

    Raises:
        UsageError: It names none on a hub.
        FailureError: It is neither in the cache nor to be downloaded.
    """
    repository, _, named = str(cfg.get("hf_hub_id") or "").partition("@")
    if not repository:
        where = f": timm has them at {printable(str(cfg['url']))} alone" if cfg.get("url") else ""
        raise UsageError(
            f"there are no weights of {cfg.get('architecture', 'this network')} on a hub{where}", hint=_IN_STEAD
        )
    given = cfg.get("hf_hub_filename")
    names = (str(given),) if given else WEIGHTS
    return hub_file(repository, names, revision or named or None, download=revision is None)


def hub_file(repository: str, names: Sequence[str], revision: str | None = None, *, download: bool = True) -> HubFile:
    """The first of ``names`` that the repository has: what the cache holds, else, with ``download``, the hub.

    Raises:
        FailureError: None of them is in the cache, and the hub cannot be asked, or refuses.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    reason: Exception | None = None
    for local in (True, False) if download else (True,):
        for name in names:
            try:
                path = Path(hf_hub_download(repository, name, revision=revision, local_files_only=local))
                return HubFile(path, repository, _commit(path))
            except LocalEntryNotFoundError as error:
                reason = error
                if not local:  # the hub cannot be reached: no other name will be found there
                    break
            except EntryNotFoundError as error:
                reason = error
            except Exception as error:  # of the hub's client, of its HTTP library, of the system
                raise _unavailable(repository, names, error, download=download) from error
    assert reason is not None
    raise _unavailable(repository, names, reason, download=download) from reason


def _commit(path: Path) -> str:
    """``…/snapshots/COMMIT/file``: the commit, as the cache names it."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts[:-1] else ""


def _unavailable(repository: str, names: Sequence[str], error: Exception, *, download: bool) -> FailureError:
    wanted = " or ".join(names)
    if not download:
        return FailureError(
            f"{wanted} of {printable(repository)} is not in the hub's cache, "
            "and nothing is downloaded because a record says so",
            hint="--checkpoint FILE with the weights",
        )
    return FailureError(
        f"cannot get {wanted} of {printable(repository)}, neither from the hub's cache nor from the hub: "
        f"{type(error).__name__}: {printable(first_line(error))}",
        hint=_IN_STEAD,
    )
