"""The audit "standard operators only", from what a reader found in the file."""

from __future__ import annotations

from math import inf

from export.artifact import AuditResult, FileFacts, Operator
from export.int8.record import QuantizationRecord, Scheme
from export.recipe import Format, Precision, Recipe

_STORED_AS = {Precision.FP16: "float16", Precision.INT8: "int8"}
MOST_SHARED = 0.98
"""Share of the weights of int8 layers that a file must hold. Chosen: converters store equal constants once."""


def audit(facts: FileFacts, recipe: Recipe, layers: QuantizationRecord | None = None) -> AuditResult:
    """Judge a file's operators against its recipe.

    A violation is an operator that the stock runtime does not have (Flex, custom, contributed or experimental
    kernels), or one from a newer operator set than the recipe asked for; so is a file of another opset or bytecode
    than was asked for. Each names the operator, the reason and, where the file tells, the module of the network. A file
    without any operator is a violation too: nothing was read. So is a file that does not hold its weights in the
    precision that was asked for; ``layers`` says how many of them must be int8.
    """
    violations = [_nonstandard(operator) for operator in facts.operators if not operator.standard]
    highest = recipe.opset if recipe.format is Format.ONNX and recipe.opset is not None else inf
    violations += [
        f"{operator.name}: needs opset {operator.version}, the recipe asks for {recipe.opset}{_origin(operator)}"
        for operator in facts.operators
        if operator.standard and operator.version is not None and operator.version > highest
    ]
    violations += _other_than_asked(facts, recipe)
    violations += _other_precision(facts, recipe, layers)
    if not facts.operators:
        violations.append("no operators were found in the file")
    if facts.format is not recipe.format:
        violations.append(f"the file is {facts.format}, the recipe asks for {recipe.format}")
    return AuditResult(passed=not violations, violations=tuple(violations))


def precision_of(facts: FileFacts) -> Precision:
    """The precision that more than half of a file's weights are stored in; float32 where none is."""
    total = sum(facts.weights.values())
    stored = (precision for precision, dtype in _STORED_AS.items() if 2 * facts.weights.get(dtype, 0) > total)
    return next(stored, Precision.FP32)


def _other_precision(facts: FileFacts, recipe: Recipe, layers: QuantizationRecord | None) -> list[str]:
    """Whether the weights are stored as fp16 or int8 where that was asked for."""
    held, dtype = facts.weights, _STORED_AS.get(recipe.precision)
    if dtype is None:
        return []
    found, total = held.get(dtype, 0), sum(held.values())
    if layers is None:
        words = f"{recipe.precision} was asked for, but {found:,} of {total:,} weights are {dtype}"
        return [] if 2 * found > total else [words]
    wanted = sum(layer.weights for layer in layers.layers if layer.scheme is not Scheme.FLOAT)
    if found < MOST_SHARED * wanted or not wanted:
        return [f"{wanted:,} weights were to be int8, but the file has {found:,}"]
    return []


def _nonstandard(operator: Operator) -> str:
    times = "once" if operator.count == 1 else f"{operator.count} times"
    why = operator.why_not or "not in the stock runtime"
    return f"{operator.name} ({times}): {why}{_origin(operator)}"


def _other_than_asked(facts: FileFacts, recipe: Recipe) -> list[str]:
    """Versions of the whole file that the recipe sets and that a reader states among its metadata."""
    stated = {"opset": recipe.opset, "bytecode": recipe.ptl_bytecode}
    return [
        f"the file has {key} {facts.metadata[key]}, the recipe asks for {asked}"
        for key, asked in stated.items()
        if asked is not None and key in facts.metadata and facts.metadata[key] != str(asked)
    ]


def _origin(operator: Operator) -> str:
    return f", from {', '.join(operator.modules)}" if operator.modules else ""
