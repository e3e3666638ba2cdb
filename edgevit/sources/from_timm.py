"""From the name of one of timm's networks to a module in eval mode and its ``ModelSpec``."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from edgevit.checkpoint.load import Checkpoint
from edgevit.errors import CheckpointError, UsageError, parse_choice
from edgevit.network.describe import check_counts
from edgevit.sources.cost import refuse_cost
from edgevit.sources.digest import weights_sha256
from edgevit.sources.hub import hub_weights
from edgevit.sources.noise import noise_images, varied_images
from edgevit.sources.origin import told_with_line
from edgevit.sources.pretrained_cfg import evaluated_size, preprocessing_of
from edgevit.sources.random_weights import randomise_zeros
from edgevit.sources.reparameterise import reparameterised
from edgevit.sources.spec_for import run, spec_for
from edgevit.sources.timm_names import TimmName, describe_architecture, find_network
from edgevit.sources.weights_into import fill, read_weights
from edgevit.spec import ModelSpec, Preprocessing, Task, Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

Source = Literal["hub", "random"]
PREFIX = "timm:"  # of ``ModelSpec.variant``
EMBEDDING = "embedding"
"""Name of the output of a network without a classifier, as those that were trained without labels are published."""


@dataclass(frozen=True)
class _Request:
    """What is built."""

    network: TimmName
    task: Task
    architecture: Mapping[str, object] = field(default_factory=dict)
    num_classes: int | None = None
    in_channels: int = 3
    input_size: tuple[int, int] = (224, 224)

    @cached_property
    def described(self) -> str:
        """The architecture as one line of JSON; empty where it is the name's own."""
        return describe_architecture(self.architecture) if self.architecture else ""

    @property
    def own_size(self) -> tuple[int, int]:
        return evaluated_size(self.network.cfg)[1:]


def build_timm(
    name: str,
    *,
    task: Task | str = Task.CLASSIFY,
    architecture: Mapping[str, object] | None = None,
    weights: Source | None = None,
    revision: str | None = None,
    checkpoint: Path | str | None = None,
    entry: str | None = None,
    seed: int = 0,
    num_classes: int | None = None,
    in_channels: int | None = None,
    input_size: tuple[int, int] | None = None,
    batch: int = 1,
    labels: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    held_bytes: int | None = None,
) -> tuple[nn.Module, ModelSpec]:
    """One of timm's networks in eval mode, without gradients, joined where it offers that; its specification.

    Args:
        name: As timm's ``create_model`` takes it: ``resnet18``, ``resnet18.a1_in1k``, ``hf-hub:timm/resnet18.a1_in1k``.
        task: ``classify``, or ``features``: the maps of timm's ``features_only``, as ``stage1`` to ``stageN``.
        architecture: Arguments of the network's class that differ from those of the name, e.g. ``{"depth": 6}``.
        weights: ``random``, or ``hub``: those of the name, from the hub's cache or downloaded; the default.
        revision: Commit of the hub's repository, in its cache; None: any that is there, else it is downloaded.
        checkpoint: Weights file of this network instead; see ``edgevit.checkpoint.entries`` for what it may be.
        entry: Which weights in the checkpoint to take.
        seed: Seed of the random weights; see ``edgevit.sources.random_weights``.
        num_classes: Length of the logits; None: of the checkpoint's head, else as the name has it.
        in_channels: Channels of the image; None: of the checkpoint's first layer, else as the name has it.
        input_size: (height, width) in pixels; None: what the weights were evaluated at, as timm's ``validate.py`` does.
        batch: Images per run.
        labels: One name per class.
        preprocessing: Overrides that of the name's ``pretrained_cfg``.
        held_bytes: Size of the artifact that a record of a stranger's describes so; see ``edgevit.sources.cost``.

    Raises:
        UsageError: No such network, tag or size of it, labels or a weights file that do not fit.
        FailureError: The hub's weights are neither in its cache nor to be downloaded.
        MissingDependencyError: timm, or the torchvision that it imports, is missing or does not load.
    """
    task = parse_choice("task", Task, task)
    check_counts(task, num_classes, in_channels, batch)
    loaded = _loaded(weights, checkpoint, entry)
    asked = _request(name, task, architecture, num_classes, in_channels, input_size, loaded, download=revision is None)
    if held_bytes is not None:
        refuse_cost(lambda: _whole(asked), (batch, asked.in_channels, *asked.input_size), held_bytes, name)
    whole, origin = _random(asked, seed) if weights == "random" else _trained(asked, loaded, revision)
    return _finished(whole, asked, batch, origin, labels, preprocessing)


def _loaded(weights: str | None, checkpoint: Path | str | None, entry: str | None) -> Checkpoint | None:
    """The tensors of the weights file that was asked for; None where there is none."""
    if weights not in (None, "hub", "random"):
        raise UsageError(f"unknown weights '{weights}': choose from hub, random")
    if checkpoint is not None and weights is not None:
        raise UsageError(f"weights {weights} and the checkpoint {checkpoint} were both asked for", hint="leave one out")
    if checkpoint is None and entry is not None:
        raise UsageError(f"checkpoint entry '{entry}' was asked for, but no checkpoint was given")
    return None if checkpoint is None else read_weights(checkpoint, entry)


def _request(
    name: str,
    task: Task,
    architecture: Mapping[str, object] | None,
    num_classes: int | None,
    in_channels: int | None,
    input_size: tuple[int, int] | None,
    loaded: Checkpoint | None,
    *,
    download: bool,
) -> _Request:
    """What is built: as asked for, else as the checkpoint has it, else as the name has it."""
    network = find_network(name, download=download)
    channels, *size = evaluated_size(network.cfg)
    tensors = {} if loaded is None else loaded.tensors
    if num_classes is None:
        num_classes = _length(tensors, network.cfg.get("classifier"), 0)
    if num_classes is None and loaded is not None and task is Task.FEATURES:
        num_classes = 0  # a file without a head, which feature maps do not need
    asked = _Request(
        network=network,
        task=task,
        architecture=dict(architecture or {}),
        num_classes=num_classes,
        in_channels=in_channels or _length(tensors, network.cfg.get("first_conv"), 1) or channels,
        input_size=input_size or (size[0], size[1]),
    )
    assert asked.described is not None  # refuses, before any work, what cannot be written down
    return asked


def _length(tensors: Mapping[str, Tensor], layers: object, axis: int) -> int | None:
    """The length of an axis of the weights of the layer that a ``pretrained_cfg`` names; None where there are none."""
    first = layers[0] if isinstance(layers, list | tuple) and layers else layers
    found = tensors.get(f"{first}.weight")
    return None if found is None or found.dim() <= axis else int(found.shape[axis])


def _create(asked: _Request, state: Mapping[str, Tensor] | None = None, **more: object) -> nn.Module:
    """What timm makes of the request, with ``state`` where it is given, else with timm's own first weights.

    Raises:
        UsageError: timm refuses it: a size or an argument that the network does not take.
    """
    import timm

    arguments: dict[str, Any] = {**asked.network.arguments, **asked.architecture, "in_chans": asked.in_channels, **more}
    if asked.num_classes is not None:
        arguments["num_classes"] = asked.num_classes
    if asked.network.cfg.get("fixed_input_size"):
        arguments.setdefault("img_size", asked.input_size)
    cfg: dict[str, Any] = {"source": None, "custom_load": False} | (
        {} if state is None else {"state_dict": dict(state)}
    )
    if asked.network.registered != asked.network.given:
        cfg = {**asked.network.cfg, **cfg}
    if asked.num_classes and state is not None:
        cfg["num_classes"] = asked.num_classes  # else timm drops a head of another length than the name's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            made = timm.create_model(
                asked.network.registered, pretrained=state is not None, pretrained_cfg_overlay=cfg, **arguments
            )
        except (TypeError, ValueError, AssertionError, RuntimeError, KeyError, AttributeError) as error:
            given = ", ".join(f"{key} {value}" for key, value in arguments.items())
            raise UsageError(f"timm cannot make {asked.network.given} with {given}: {told_with_line(error)}") from error
    return made


def _whole(asked: _Request, state: Mapping[str, Tensor] | None = None) -> nn.Module:
    """The whole network, able to take the size that is asked for.

    Some networks take any size, some a size that they are told, and ``pretrained_cfg`` does not tell them apart.
    """
    import torch

    model = _create(asked, state)
    if asked.input_size == asked.own_size or "img_size" in asked.architecture:
        return model
    image = (torch.zeros((1, asked.in_channels, *asked.input_size)),)  # on the meta device, where that is the default
    try:
        run(model, image)
    except UsageError:
        if asked.network.cfg.get("fixed_input_size"):
            raise
        try:
            return _create(asked, state, img_size=asked.input_size)
        except UsageError:
            run(model, image)
    return model


def _random(asked: _Request, seed: int) -> tuple[nn.Module, Weights]:
    """The whole network with random weights; no global random state is changed."""
    import torch

    if seed < 0:
        raise UsageError(f"the seed is {seed}, expected a whole number from 0")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _whole(asked)
    images = varied_images(asked.in_channels, asked.input_size, seed)
    run(model, (images[:1],))
    randomise_zeros(model, seed, (images,))
    return model, Weights(source="random", seed=seed, sha256=weights_sha256(model))


def _trained(asked: _Request, loaded: Checkpoint | None, revision: str | None) -> tuple[nn.Module, Weights]:
    """The whole network with the weights of a file: the user's own, or the hub's."""
    cfg = asked.network.cfg
    if loaded is not None:
        return _filled(asked, loaded)
    for what, wanted, held in (
        ("classes", asked.num_classes, cfg.get("num_classes")),
        ("input channels", asked.in_channels, evaluated_size(cfg)[0]),
    ):
        if wanted is not None and wanted != held:
            raise UsageError(
                f"the hub's weights of {asked.network.given} have {held} {what}, {wanted} were asked for",
                hint="--checkpoint FILE with weights that were trained so, or --weights random",
            )
    found = hub_weights(cfg, revision)
    read = read_weights(found.path, None)
    origin = replace_source(read.weights, found.repository, found.revision)
    return _whole(asked, read.tensors), origin


def _filled(asked: _Request, loaded: Checkpoint) -> tuple[nn.Module, Weights]:
    """The whole network with the weights of the user's file: as they are, else as timm translates them.

    timm knows the names of the authors' own files, and fits tables of positions to another size of image. It also
    leaves out without a word what it takes for another head, which is looked for here.
    """
    model = _whole(asked)
    try:
        return model, fill(model, loaded, asked.network.given)
    except CheckpointError as misfit:
        if asked.in_channels != evaluated_size(asked.network.cfg)[0]:
            raise
        try:
            made = _whole(asked, loaded.tensors)
        except UsageError:
            raise misfit from None
        if asked.num_classes and not _has_head_of(made, loaded, asked):
            raise
        return made, loaded.weights


def _has_head_of(model: nn.Module, loaded: Checkpoint, asked: _Request) -> bool:
    """Whether the head's weights are those of the file, under the name that the file's authors gave it or another."""
    import torch

    head = asked.network.cfg.get("classifier")
    name = f"{head[0] if isinstance(head, list | tuple) and head else head}.weight"
    mine = model.state_dict().get(name)
    return mine is not None and any(
        tensor.shape == mine.shape and torch.equal(tensor.float(), mine) for tensor in loaded.tensors.values()
    )


def replace_source(weights: Weights, repository: str, revision: str) -> Weights:
    """``weights`` of a file, said to be the hub's."""
    import msgspec

    return msgspec.structs.replace(weights, source="hub", repository=repository, revision=revision)


def _features(asked: _Request, whole: nn.Module) -> nn.Module:
    """For ``features`` the network of feature maps with the weights of the whole one; else that itself.

    Raises:
        UsageError: timm has no ``features_only`` of this network.
    """
    if asked.task is not Task.FEATURES:
        return whole
    size = {} if asked.input_size == asked.own_size else _told_size(whole)
    return _create(replace(asked, num_classes=None), whole.state_dict(), features_only=True, **size)


def _told_size(whole: nn.Module) -> dict[str, object]:
    """The size that the network was made for, where it had to be told."""
    arguments = getattr(whole, "_model_args", {})
    return {"img_size": arguments["img_size"]} if "img_size" in arguments else {}


def _finished(
    whole: nn.Module,
    asked: _Request,
    batch: int,
    origin: Weights,
    labels: Sequence[str],
    preprocessing: Preprocessing | None,
) -> tuple[nn.Module, ModelSpec]:
    """The network for the task, joined where it offers that, and its specification."""
    model, image = _features(asked, whole), noise_images((batch, asked.in_channels, *asked.input_size))
    model, kind = reparameterised(model.requires_grad_(False).eval(), (image,))
    options = {key: word for key, word in (("reparameterised", kind), ("architecture", asked.described)) if word}
    embeds = asked.task is Task.CLASSIFY and getattr(model, "num_classes", None) == 0
    answers = run(model, (image,))
    names: tuple[str, ...] = ()
    if asked.task is Task.FEATURES:
        names = tuple(f"stage{number}" for number in range(1, len(cast("Sequence[object]", answers)) + 1))
    elif embeds:
        names = (EMBEDDING,)
    cfg, channels = asked.network.cfg, asked.in_channels
    spec = spec_for(
        model,
        image,
        name=_stem(asked, batch),
        variant=f"{PREFIX}{asked.network.given}",
        task=Task.FEATURES if embeds else asked.task,
        weights=origin,
        labels=labels,
        preprocessing=preprocessing or preprocessing_of(cfg, channels, asked.input_size),
        input_names=("image",),
        output_names=names,
        options=options,
    )
    return model, spec


def _stem(asked: _Request, batch: int) -> str:
    """File stem, e.g. ``resnet18.a1_in1k-224x224``; whatever differs from the name's own is part of it."""
    cfg, (height, width) = asked.network.cfg, asked.input_size
    parts = [asked.network.stem]
    if asked.described:
        parts.append(f"a{hashlib.sha256(asked.described.encode()).hexdigest()[:8]}")
    if asked.task is Task.FEATURES:
        parts.append("features")
    elif asked.num_classes not in (None, cfg.get("num_classes")):
        parts.append(f"{asked.num_classes}classes")
    if asked.in_channels != evaluated_size(cfg)[0]:
        parts.append(f"{asked.in_channels}ch")
    if batch != 1:
        parts.append(f"batch{batch}")
    return "-".join([*parts, f"{height}x{width}"])
