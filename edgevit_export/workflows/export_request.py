"""What an export is asked for, made whole, and refused before any work where it cannot be met."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import ValidationError, convert, to_builtins
from msgspec.structs import replace

from edgevit.copies import refuse_no_module, refuse_weights_not_there
from edgevit.errors import UsageError
from edgevit.names import tensor_names_problem
from edgevit.sources.digest import refuse_other_weights
from edgevit.spec import ModelSpec
from export.formats.table import FORMATS, check_recipe, parse_format, require_export
from export.quantization.calibration import CalibrationImages, load_calibration, refuse_calibrated_on
from export.recipe import DEFAULT_OPSET, Format, Precision, Recipe
from export.staging import check_output
from export.stimuli import Samples
from runtimes.sessions.ptl_elsewhere import require_xnnpack
from runtimes.sessions.table import require_runtime
from validation.artifact.limits import Limits

if TYPE_CHECKING:
    from torch import nn


def check_network(model: nn.Module, spec: ModelSpec) -> None:
    """Refuse what is no module, and a spec that no file can hold, or that speaks of other weights.

    Raises:
        UsageError: It is so.
        ExportError: Weights that are not there, or sparse.
    """
    refuse_no_module(model)
    refuse_weights_not_there(model)
    names = ([tensor.name for tensor in tensors] for tensors in (spec.inputs, spec.outputs))
    if problem := tensor_names_problem(*names):
        raise UsageError(f"the spec of {spec.name}: {problem}")
    refuse_other_weights(model, spec)


def check_request(
    recipes: tuple[Recipe, ...], output: Path, *, verify: bool, calibrated: bool = False, needed_bytes: int = 0
) -> None:
    """Refuse before any work what cannot be finished; ``calibrated``: int8 is to be static.

    Raises:
        UsageError: No format, two recipes whose files would share a name, a version that the format cannot be
            written in, or a directory that cannot be written or has less room than ``needed_bytes``.
        MissingDependencyError: A converter, or with ``verify`` a runtime, is not installed.
    """
    if not recipes:
        raise UsageError(f"no format to export: choose from {', '.join(FORMATS)}")
    names = [recipe.file_name("MODEL") for recipe in recipes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"the same file twice in one export: {', '.join(twice)}")
    for recipe in recipes:
        require_export(recipe.format)
        check_recipe(recipe, calibrated=calibrated)
        if verify:
            require_runtime(recipe.format)
        if verify and recipe.ptl_prepacked:
            require_xnnpack()
    check_output(output, needed_bytes)


def refuse_idle_limits(limits: Limits, images: Path | str | None, *, verify: bool) -> None:
    """Limits and photos that nothing would be judged by.

    Raises:
        UsageError: They were given, but verification is off.
    """
    given = (("--strict", limits.strict), ("--atol", limits.atol is not None), ("--images", images is not None))
    idle = [option for option, was_given in given if was_given]
    if idle and not verify:
        raise UsageError(
            f"{', '.join(idle)} with --no-verify: nothing would be compared", hint=f"leave {idle[0]} or --no-verify out"
        )


@dataclass(frozen=True)
class GivenImages:
    """The user's images as the network takes them: to verify on, and to take the ranges of int8 on."""

    photos: Samples | None
    calibration: CalibrationImages | None


def read_images(
    photos: Path | str | None,
    calibration: Path | str | CalibrationImages | None,
    spec: ModelSpec,
    note: Callable[[str], None],
) -> GivenImages:
    """The images from where they are; none is both verified and calibrated on.

    Raises:
        UsageError: They cannot be used, or some are both; names the file.
    """
    from export.photos import load_photos

    if calibration is not None and not isinstance(calibration, CalibrationImages):
        calibration = load_calibration(Path(calibration), spec, note)
    samples = None if photos is None else load_photos(Path(photos), spec, note)
    if calibration is not None and samples is not None:
        refuse_calibrated_on(calibration.digests, samples, f"--images {photos}")
    return GivenImages(samples, calibration)


def with_calibration(recipes: tuple[Recipe, ...], images: CalibrationImages | None) -> tuple[Recipe, ...]:
    """The recipes, those of int8 static where there are images to take ranges on.

    Raises:
        UsageError: Images without an int8 recipe, options of int8 in another one, or a calibration without its images.
    """
    if images is not None and not any(recipe.precision is Precision.INT8 for recipe in recipes):
        raise UsageError("--calibration-data without int8: no other precision needs ranges", hint="--precision int8")
    record = None if images is None else images.record
    whole = []
    for recipe in recipes:
        if recipe.precision is not Precision.INT8 and recipe.tells_of_int8:
            raise UsageError(
                f"calibration, layers kept float and searches are for int8, the recipe is {recipe.precision}"
            )
        if recipe.calibration not in (None, record):
            raise UsageError("the recipe has a calibration, but its images were not given", hint="calibration_data=...")
        static = recipe.precision is Precision.INT8 and record is not None
        whole.append(replace(recipe, calibration=record) if static else recipe)
    return tuple(whole)


def whole_recipes(formats: Iterable[Recipe | Format | str] | Recipe | str) -> tuple[Recipe, ...]:
    """A whole recipe for each of ``formats``; a text is one name or several, as ``--format`` takes them.

    Raises:
        UsageError: No such format, or a field of a recipe that holds something else than its type.
    """
    if isinstance(formats, Recipe):
        return (whole_recipe(formats),)
    if isinstance(formats, str):
        formats = dict.fromkeys(name.strip() for name in formats.split(",") if name.strip())
    return tuple(whole_recipe(item) for item in formats)


def whole_recipe(item: Recipe | Format | str) -> Recipe:
    """A whole recipe: ONNX has its default opset filled in, so that the manifest says which one was meant.

    Raises:
        UsageError: No such format, or a field that holds something else than its type.
    """
    recipe = item if isinstance(item, Recipe) else Recipe(format=parse_format(item))
    try:
        recipe = convert(to_builtins(recipe), Recipe)
    except ValidationError as error:
        raise UsageError(f"{recipe} is no recipe: {error}") from error
    if recipe.format is Format.ONNX and recipe.opset is None:
        return replace(recipe, opset=DEFAULT_OPSET)
    return recipe
