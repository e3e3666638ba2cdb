"""Files of a hub's repository, from huggingface_hub's own cache or downloaded into it, with their commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

import msgspec

from edgevit.errors import FailureError, UsageError, first_line
from edgevit.text import parse_json, printable, read_bytes

CONFIG = "config.json"
CONFIG_BYTES = 2**20  # chosen: those of 1000 classes with their names have 60 kB
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""In the order in which timm looks for them."""
_Side = Annotated[int, msgspec.Meta(ge=1, le=2**13)]  # chosen: of an image, 67 megapixels
_Share = Annotated[float, msgspec.Meta(ge=0.05, le=2)]  # chosen: of a crop; timm's are 0.8 to 1.0
_Layers = str | tuple[str, ...] | None


class _Evaluation(msgspec.Struct):
    """How a repository's network is made and was evaluated: what is taken of its table, all else is left."""

    input_size: tuple[_Side, _Side, _Side] = (3, 224, 224)
    test_input_size: tuple[_Side, _Side, _Side] | None = None
    fixed_input_size: bool = False
    interpolation: str = "bicubic"
    crop_pct: _Share = 0.875
    test_crop_pct: _Share | None = None
    crop_mode: str = "center"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    num_classes: Annotated[int, msgspec.Meta(ge=0, le=2**20)] = 1000
    pool_size: tuple[int, ...] | None = None
    first_conv: _Layers = None
    classifier: _Layers = None
    tag: str | None = None
    hf_hub_filename: str | None = None


_IN_STEAD = "--weights random, or --checkpoint FILE with the weights"
_OTHER_CACHE = "or HF_HOME=DIR of a cache that has them"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository in the cache; ``revision`` is the commit."""

    path: Path
    repository: str
    revision: str


def hub_config(
    repository: str, *, download: bool = True, hint: str | None = None
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """What a repository's ``config.json`` says; ``repository`` may end in ``@revision``. See ``read_config``.

    Args:
        repository: ``OWNER/NAME``.
        download: Whether the hub may be asked for what the cache has not.
        hint: What to do where it cannot be had.

    Raises:
        UsageError: There is no such repository, or none of timm's networks.
        FailureError: It is neither in the cache nor to be downloaded.
    """
    name, _, revision = repository.partition("@")
    found = hub_file(name, (CONFIG,), revision or None, download=download, hint=hint)
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
    told = {key: value for key, value in {**inner, **classes}.items() if value is not None}
    try:
        known = msgspec.to_builtins(msgspec.convert(told, _Evaluation))
    except msgspec.ValidationError as error:
        raise UsageError(f"{CONFIG} of {printable(repository)}: {printable(str(error))}") from error
    if ".." in PurePosixPath(known["hf_hub_filename"] or "").parts:
        raise UsageError(f"{CONFIG} of {printable(repository)} names weights outside of it")
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


def hub_file(
    repository: str,
    names: Sequence[str],
    revision: str | None = None,
    *,
    download: bool = True,
    hint: str | None = None,
) -> HubFile:
    """The first of ``names`` that the repository has: what the cache holds, else, with ``download``, the hub.

    Raises:
        UsageError: No repository is called so, or the hub has none of that name or revision.
        FailureError: None of the files is in the cache, and the hub cannot be asked, or refuses.
    """
    _check_repository(repository, revision, hint)
    for name in names:
        if (path := _cached(repository, name, revision)) is not None:
            return HubFile(path, repository, _commit(path))
    wanted = f"{' or '.join(names)} of {printable(repository)}"
    if not download:
        raise FailureError(
            f"{wanted} is not in the hub's cache, and nothing is downloaded because a record says so",
            hint="--checkpoint FILE with the weights",
        )
    path = _downloaded(repository, names, revision, wanted, hint or f"{_IN_STEAD}, {_OTHER_CACHE}")
    return HubFile(path, repository, _commit(path))


def _check_repository(repository: str, revision: str | None, hint: str | None) -> None:
    """Refuse what no repository or revision is called; a part of a path of the cache is made of both."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UsageError(
            f"'{printable(repository)}' is no name of a repository on a hub: expected OWNER/NAME", hint=hint
        ) from error
    if revision is not None and (not revision.isprintable() or {"", ".", ".."} & set(revision.split("/"))):
        raise UsageError(f"'{printable(revision)}' is no revision of {printable(repository)}", hint=hint)


def _cached(repository: str, name: str, revision: str | None) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(repository, name, revision=revision, local_files_only=True))
    except EntryNotFoundError:
        return None
    except OSError as error:
        raise FailureError(
            f"cannot read {name} of {printable(repository)} in the hub's cache: {first_line(error)}"
        ) from error


def _downloaded(repository: str, names: Sequence[str], revision: str | None, wanted: str, hint: str) -> Path:
    """The first of ``names`` that the hub has, in its cache from now on."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    _reach(repository, names[0], revision, wanted, hint)
    for name in names:
        try:
            return Path(hf_hub_download(repository, name, revision=revision))
        except GatedRepoError as error:
            raise FailureError(f"cannot get {wanted}: its owner asks who reads it", hint="hf auth login") from error
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            where = "such revision" if isinstance(error, RevisionNotFoundError) else "such repository that all may read"
            raise UsageError(f"cannot get {wanted}: the hub has no {where}", hint=hint) from error
        except LocalEntryNotFoundError as error:
            raise _unreachable(wanted, error.__cause__ or error, hint) from error
        except EntryNotFoundError:
            continue
        except Exception as error:  # of the hub's client, of its HTTP library, of the system
            raise _unreachable(wanted, error, hint) from error
    raise UsageError(f"cannot get {wanted}: the repository has no such file", hint=hint)


def _reach(repository: str, name: str, revision: str | None, wanted: str, hint: str) -> None:
    """Ask the hub once: where there is no network, downloading would try for half a minute, and log every time.

    What a hub that can be reached answers is left to the download, which may try again.
    """
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import FileMetadataError, HfHubHTTPError

    try:
        get_hf_file_metadata(hf_hub_url(repository, name, revision=revision), timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except (HfHubHTTPError, FileMetadataError):
        return
    except Exception as error:
        raise _unreachable(wanted, error, hint) from error


def _unreachable(wanted: str, error: BaseException, hint: str) -> FailureError:
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    why = f"{constants.ENDPOINT} cannot be asked: {type(error).__name__}: {printable(first_line(error))}"
    if isinstance(error, OfflineModeIsEnabled):
        why = "HF_HUB_OFFLINE forbids to ask the hub"
    return FailureError(f"cannot get {wanted}: the cache {constants.HF_HUB_CACHE} has it not, and {why}", hint=hint)


def _commit(path: Path) -> str:
    """``…/snapshots/COMMIT/file``: the commit, as the cache names it."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts[:-1] else ""
