"""From a user's own code to a module in eval mode and its ``ModelSpec``.

The factory returns a module, or a module and the ``ModelSpec`` that describes it; torch is seeded before. Its example
inputs are those of ``get_args()`` beside ``get_model()``, else one image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgevit.errors import UsageError
from edgevit.sources.noise import noise_images
from edgevit.sources.pretrained_cfg import evaluated_size
from edgevit.sources.spec_for import spec_for
from edgevit.sources.user_code import EXAMPLE, FACTORY, UserCode, load_user_code
from edgevit.sources.weights_into import fill, read_weights
from edgevit.spec import ModelSpec, Preprocessing, Task, Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

PREFIX = "module:"  # of ``ModelSpec.variant``
FILE_SHA256, SEED, INPUTS = "file_sha256", "seed", "inputs"  # of ``ModelSpec.options``
AN_IMAGE, OWN_SPEC = "image", "ModelSpec"
"""Values of ``INPUTS``, beside ``get_args``: who said what the module takes."""


@dataclass(frozen=True)
class _Inputs:
    """What the user said of the image; None where nothing was said."""

    channels: int | None
    size: tuple[int, int] | None
    batch: int | None

    @property
    def given(self) -> list[str]:
        named = (("input channels", self.channels), ("an input size", self.size), ("a batch", self.batch))
        return [name for name, value in named if value is not None]


def build_module(
    target: str,
    *,
    task: Task | str | None = None,
    checkpoint: Path | str | None = None,
    entry: str | None = None,
    seed: int = 0,
    in_channels: int | None = None,
    input_size: tuple[int, int] | None = None,
    batch: int | None = None,
    labels: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    file_sha256: str | None = None,
) -> tuple[nn.Module, ModelSpec]:
    """What a factory of the user's makes, in eval mode, without gradients; its specification.

    Args:
        target: ``file.py``, ``file.py:factory``, ``package.module:factory``; it is imported, which runs it.
        task: None: as ``spec_for`` finds.
        checkpoint: Weights file for the module; None leaves those that the factory gave it.
        entry: Which weights in the checkpoint to take.
        seed: Of torch, while the code runs.
        in_channels: Channels of the image; None: 3, or as a ``pretrained_cfg`` of the module says, as with the next.
        input_size: (height, width) in pixels; None: 224x224.
        batch: Images per run; None: 1.
        labels: One name per class.
        preprocessing: How a photo becomes the input.
        file_sha256: What the file must have; another one is not run.

    Raises:
        UsageError: The code cannot be found or fails (names the line), or makes something else than a module.
        CheckpointError: The weights file cannot be used for the module.
    """
    if checkpoint is None and entry is not None:
        raise UsageError(f"checkpoint entry '{entry}' was asked for, but no checkpoint was given")
    image = _Inputs(in_channels, input_size, batch)
    code, made, example = _run_code(target, seed, file_sha256)
    model, own = _module_in(made, code)
    name = f"{PREFIX}{code.stem}:{code.factory}"
    weights = None if checkpoint is None else fill(model, read_weights(checkpoint, entry), name)
    model = model.requires_grad_(False).eval()
    if own is None:
        tensors = _example(model, example, image)
        found = spec_for(model, tensors, task=task, labels=labels, preprocessing=preprocessing)
    else:
        found = own
        _refuse_beside_a_spec(image, task, labels, preprocessing)
    said = OWN_SPEC if own else AN_IMAGE if example is None else EXAMPLE
    return model, _told(found, name, code, {SEED: str(seed), INPUTS: said}, weights)


def _told(
    found: ModelSpec, variant: str, code: UserCode, options: Mapping[str, str], weights: Weights | None
) -> ModelSpec:
    """``found`` with what tells where the network is from, under the code's name unless it is the user's own."""
    stem = found.name if options[INPUTS] == OWN_SPEC else _stem(code, found)
    origin = {"file": code.path.name, FILE_SHA256: code.sha256}
    return msgspec.structs.replace(
        found,
        name=stem,
        variant=variant,
        options={**found.options, **origin, **options},
        weights=weights or found.weights,
    )


def _run_code(target: str, seed: int, sha256: str | None) -> tuple[UserCode, object, object]:
    """Import the code, call its factory, and ``get_args`` where that is beside ``get_model``."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        code = load_user_code(target, sha256)
        torch.manual_seed(seed)
        made = code.call(code.factory)
        has_example = code.factory == FACTORY and callable(getattr(code.module, EXAMPLE, None))
        return code, made, code.call(EXAMPLE) if has_example else None


def _module_in(made: object, code: UserCode) -> tuple[nn.Module, ModelSpec | None]:
    import torch

    module, own = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    module = getattr(module, "_orig_mod", module)  # of ``torch.compile``: what runs here is what was compiled
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            f"{code.factory}() of {code.path.name} returns a module that torch.jit has compiled, which cannot be "
            "captured once more: expected the torch.nn.Module that it was made of"
        )
    if isinstance(module, torch.nn.Module) and (own is None or isinstance(own, ModelSpec)):
        return module, own
    kinds = f"({', '.join(type(part).__name__ for part in made)})" if isinstance(made, tuple) else type(made).__name__
    raise UsageError(
        f"{code.factory}() of {code.path.name} returns {kinds}, expected a torch.nn.Module, or one and its ModelSpec"
    )


def _example(model: nn.Module, given: object, image: _Inputs) -> tuple[Tensor, ...]:
    """The inputs to run the module on: those of ``get_args``, else an image of the size that is asked for."""
    import torch

    if given is None:
        cfg = getattr(model, "pretrained_cfg", None)
        channels, height, width = evaluated_size(cfg if isinstance(cfg, Mapping) else {})
        size = image.size or (height, width)
        return (noise_images((image.batch or 1, image.channels or channels, *size)),)
    if image.given:
        raise UsageError(f"{', '.join(image.given)} beside {EXAMPLE}(), which says what the module takes")
    tensors = (given,) if isinstance(given, torch.Tensor) else given
    if not isinstance(tensors, tuple | list) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
        kinds = ", ".join(type(part).__name__ for part in given) if isinstance(given, tuple | list) else ""
        seen = f"{type(given).__name__} ({kinds})" if kinds else type(given).__name__
        raise UsageError(
            f"{EXAMPLE}() returns {seen}, expected a tuple of tensors, one for each input by position",
            hint="give keyword arguments their default in forward",
        )
    return tuple(tensors)


def _refuse_beside_a_spec(
    image: _Inputs, task: Task | str | None, labels: Sequence[str], preprocessing: Preprocessing | None
) -> None:
    others = (("task", task), ("labels", labels), ("preprocessing", preprocessing))
    given = [*image.given, *(name for name, value in others if value)]
    if given:
        raise UsageError(f"{', '.join(given)} beside a ModelSpec, which the factory returned and which says all that")


def _stem(code: UserCode, spec: ModelSpec) -> str:
    """``net-224x224``, ``net-make-224x224`` where the factory has a name of its own."""
    parts = [code.stem] if code.factory == FACTORY else [code.stem, code.factory]
    sizes = spec.name.rpartition("-")[2] if spec.inputs[0].layout is not None else ""
    batch = spec.inputs[0].shape[0] if spec.inputs[0].layout is not None else 1
    return "-".join([*parts, *([f"batch{batch}"] if batch != 1 else []), *([sizes] if sizes else [])])
