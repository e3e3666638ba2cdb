"""The audit "standard operators only", from what a reader found in the file."""

from __future__ import annotations

from math import inf

from export.artifact import AuditResult, FileFacts, Operator
from export.recipe import Format, Recipe


def audit(facts: FileFacts, recipe: Recipe) -> AuditResult:
    """Judge a file's operators against its recipe.

    A violation is an operator that the stock runtime does not have (Flex, custom, contributed or experimental
    kernels), or one from a newer operator set than the recipe asked for; so is a file of another opset or bytecode
    than was asked for. Each names the operator, the reason and, where the file tells, the module of the network. A file
    without any operator is a violation too: nothing was read.
    """
    violations = [_nonstandard(operator) for operator in facts.operators if not operator.standard]
    highest = recipe.opset if recipe.format is Format.ONNX and recipe.opset is not None else inf
    violations += [
        f"{operator.name}: needs opset {operator.version}, the recipe asks for {recipe.opset}{_origin(operator)}"
        for operator in facts.operators
        if operator.standard and operator.version is not None and operator.version > highest
    ]
    violations += _other_than_asked(facts, recipe)
    if not facts.operators:
        violations.append("no operators were found in the file")
    if facts.format is not recipe.format:
        violations.append(f"the file is {facts.format}, the recipe asks for {recipe.format}")
    return AuditResult(passed=not violations, violations=tuple(violations))


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
