"""``bytecode.pkl`` is read by position, and every part is what torch takes it for."""

from __future__ import annotations

import pytest
from lite_programs import RETURNS, code, function, program, schema

from export.formats.ptl_file.bytecode import Instruction, OperatorUse, functions_of
from export.formats.ptl_file.pickled import unpickle
from export.formats.ptl_file.values import PickleError


def functions(*parts: object, version: object = 8) -> object:
    return functions_of(unpickle(program(*parts, version=version), {}.get))


def test_a_function_is_read_with_all_that_it_has() -> None:
    operators = (("aten::mean", "dim", 2), ("aten::relu", ""), ("aten::format", "", -1))
    body = code(("STOREN", 1, 2), *RETURNS, operators=operators, types=("List[int]",), registers=2)
    version, (found,) = functions_of(unpickle(program(function(body, 2)), {}.get))
    assert (version, found.name, found.arguments, found.returns, found.registers) == (8, "__torch__.M.forward", 2, 1, 2)
    assert found.instructions[0] == Instruction("STOREN", 1, 2)
    assert found.operators == (
        OperatorUse("aten::mean.dim", 2),
        OperatorUse("aten::relu", None),
        OperatorUse("aten::format", None),
    )
    assert (found.constants, found.types) == ((None,), ("List[int]",))


GOOD = code(*RETURNS)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([function(GOOD), function(GOOD)], "two functions have one name"),
        ([("f", GOOD)], "has no schema"),
        ([("f", GOOD, (("arguments", ()), ("results", ())))], "a schema must hold arguments, returns"),
        ([(("f", "f"), GOOD, schema())], "a function's name is no text"),
        ([("f",)], "a function is no tuple of 2 or more"),
        ([function(code(("LOADC", 0)))], "an instruction is no tuple of 3"),
        ([function(code((("LOADC",) * 2, 0, 0)))], "an instruction's name is no text"),
        ([function(code(("LOADC", 2**62, 0)))], "two numbers that fit"),
        ([function(code(("LOADC", 0, 2**16)))], "two numbers that fit"),
        ([function(code(("LOADC", True, 0)))], "two numbers that fit"),
        ([function(code(*RETURNS, operators=(("aten::relu",),)))], "an operator is no tuple of 2 or more"),
        ([function(code(*RETURNS, operators=((["aten::relu"], ""),)))], "an operator's name is no text"),
        ([function(code(*RETURNS, operators=(("aten::relu", "", -2),)))], "takes -2 arguments"),
        ([function(code(*RETURNS, types=("__torch__.torch.classes.rpc.X",)))], "a class in C\\+\\+"),
        ([function(code(*RETURNS, types=("List[" * 300,)))], "no name of a type"),
        ([function(code(*RETURNS, types=(7,)))], "no name of a type"),
        ([function(code(*RETURNS, registers=10**9))], "asks for 1000000000 registers for 2 instructions"),
        ([function(code(*RETURNS, registers="1"))], "registers"),
    ],
)
def test_what_torch_would_take_for_something_else_is_refused(parts: list[object], words: str) -> None:
    with pytest.raises(PickleError, match=words):
        functions(*parts)


@pytest.mark.parametrize("version", ["8", -1, None, 2**20, (1,)])
def test_the_version_is_a_number(version: object) -> None:
    with pytest.raises(PickleError, match="the bytecode's version is"):
        functions(function(GOOD), version=version)
