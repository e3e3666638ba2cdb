"""What a pickle names, found without running it, and stand-ins for the names that only hold data.

Training code keeps its options, paths, counters and histories beside the weights. Their classes are never imported:
``torch.load(weights_only=True)`` gets a stand-in of the same name, which takes whatever it is given and does nothing.
"""

from __future__ import annotations

import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from edgevit.checkpoint.archive import archive_of, is_zip, member_of
from edgevit.checkpoint.measured import MeasuredFile
from edgevit.checkpoint.nest import Nest
from edgevit.errors import CheckpointError

MOST_OPERATIONS = 20_000_000  # chosen: a minute; an optimiser of 1,000 tensors takes some 50,000
WIDEST_TUPLE = 10_000  # with all within, of which the hash takes time; numpy's and Python's random states have 625
PKL_BYTES = 2**28  # of names and options; chosen: that of a network of 1,000 tensors has 200 kB
_LEGACY_PICKLES = 5  # magic number, version, system, the object, the keys of its storages
_NUMBER_OPERATIONS = 5  # of a pickled number: protocol, frame, number, memo, end
_TABLES = {  # they are filled as dictionaries are
    "collections.defaultdict", "easydict.EasyDict", "addict.Dict", "addict.addict.Dict", "yacs.config.CfgNode",
    "fvcore.common.config.CfgNode", "munch.Munch", "munch.DefaultMunch", "box.box.Box",
    "mmengine.config.config.ConfigDict", "mmcv.utils.config.ConfigDict",
    "pytorch_lightning.utilities.parsing.AttributeDict", "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict", "lightning_fabric.utilities.data.AttributeDict",
    "transformers.trainer_utils.AttributeDict", "ml_collections.config_dict.config_dict.ConfigDict",
}  # fmt: skip
_LISTS = {"collections.deque"}
_DATA = {
    "argparse.Namespace", "types.SimpleNamespace", "typing.Any", "uuid.UUID", "decimal.Decimal", "fractions.Fraction",
    "functools.partial", "builtins.getattr",  # of mmengine's HistoryBuffer; nothing is looked up
    "torch.torch_version.TorchVersion", "packaging.version.Version", "builtins.NoneType", "torch.Generator",
    *(f"builtins.{name}" for name in ("slice", "range", "frozenset", "object", "int", "float", "str", "bool", "list",
                                      "dict", "tuple", "bytes")),
}  # fmt: skip
_DATA_OF = (  # packages whose classes and constructors hold numbers, options and records
    "pathlib.", "datetime.", "numpy.", "omegaconf.", "mmengine.", "mmcv.", "lightning.", "pytorch_lightning.",
    "lightning_fabric.", "lightning_utilities.", "torchmetrics.", "deepspeed.", "timm.", "ml_collections.",
    "torch.optim.", "torch.distributed.checkpoint.metadata.",
)  # fmt: skip


class Inert:
    """Stands for any class or constructor that only holds data, and holds nothing."""

    def __new__(cls, *given: object, **named: object) -> Inert:
        """Take anything."""
        return super().__new__(cls)

    def __init__(self, *given: object, **named: object) -> None:
        """Keep nothing of it."""

    def __setstate__(self, state: object) -> None:
        """Keep nothing of it."""


class _Table:
    """Stands for subclasses of ``dict``: its instance is one that pickles may fill."""

    def __new__(cls, *given: object) -> OrderedDict[object, object]:  # type: ignore[misc]  # what torch's reader fills
        return OrderedDict()


class _List:
    """Stands for classes that are filled as lists are."""

    def __new__(cls, *given: object) -> list[object]:  # type: ignore[misc]  # as above
        return []


def stand_ins(path: Path) -> list[Callable[..., object] | tuple[Callable[..., object], str]]:
    """Stand-ins, with the names that they stand for, for the data that the pickles in ``path`` name.

    Raises:
        CheckpointError: Pickles that are built to take time or memory.
    """
    kinds = [(name, _stand_in(name)) for name in sorted(_globals_of(path))]
    return [(kind, name) for name, kind in kinds if kind is not None]


def _stand_in(name: str) -> type | None:
    if name in _TABLES:
        return _Table
    if name in _LISTS:
        return _List
    return Inert if name in _DATA or name.startswith(_DATA_OF) else None


def _globals_of(path: Path) -> set[str]:
    """Names of all globals, as ``module.name``; of a pickle that is damaged those before the damage."""
    with MeasuredFile(path) as file:
        if not is_zip(file):
            return _names(file, path, _LEGACY_PICKLES)
        found: set[str] = set()
        with archive_of(file, path) as archive:
            for info in archive.infolist():
                if info.filename.lower().endswith("/data.pkl"):  # torch finds it however its letters are written
                    found |= _names_in(archive, info, path)
        return found


def _names_in(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> set[str]:
    if info.file_size > PKL_BYTES:
        raise CheckpointError(
            f"checkpoint {path} has {info.file_size:,} bytes of names and options, more than {PKL_BYTES:,}",
            hint="in the training code: torch.save(model.state_dict(), 'weights.pth')",
        )
    with member_of(archive, info, path) as file:
        return _names(file, path, 1)


def _names(file: IO[bytes], path: Path, pickles: int) -> set[str]:
    """Names of the globals of so many pickles, one behind the other."""
    found: set[str] = set()
    try:
        for number in range(pickles):
            # The first two of torch before 1.6 are numbers. Torch quotes what else they are: its text may never end.
            most = _NUMBER_OPERATIONS if pickles > 1 and number < 2 else MOST_OPERATIONS
            found.update(_scan(file, path, most))
    except CheckpointError:
        raise
    except Exception:  # a damaged pickle fails as its bytes say; torch.load finds words for it
        return found
    return found


def _scan(file: IO[bytes], path: Path, most: int) -> Iterator[str]:
    """The globals of a pickle of at most ``most`` operations, whose values nest no further than can be followed."""
    nest = Nest()
    try:
        for count, (code, argument, _) in enumerate(pickletools.genops(file)):
            if count >= most:
                if most == _NUMBER_OPERATIONS:
                    raise CheckpointError(f"checkpoint {path} is truncated or not a checkpoint: it has no magic number")
                raise CheckpointError(f"checkpoint {path} has more than {most:,} pickled values")
            if code.name == "GLOBAL":
                yield _named(*str(argument).split(" ", 1), path=path)
            if nest.take(code, argument) > WIDEST_TUPLE:
                break
    finally:  # torch has made these values also where the pickle is damaged behind them
        if nest.widest > WIDEST_TUPLE or nest.unfolds_beyond(MOST_OPERATIONS):
            raise CheckpointError(f"checkpoint {path} is refused: its values nest so that reading would not end")


def _named(module: str, name: str = "", *, path: Path) -> str:
    full = _modern(module, name)
    if full == "builtins.bytearray":  # torch calls it, and called with a number it takes so many bytes
        raise CheckpointError(f"checkpoint {path} is refused: it holds a bytearray, which can be of any size")
    return full


def _modern(module: str, name: str = "") -> str:
    """The name of a global in Python 3; protocol 2 writes those of Python 2."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"
