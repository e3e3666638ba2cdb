"""A lite program stays within its stack, registers, constants, types and attributes on every way through it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from lite_programs import code, function, program

from export.formats.ptl_file.bytecode import functions_of
from export.formats.ptl_file.flow import INSTRUCTIONS, check_flow
from export.formats.ptl_file.pickled import unpickle
from export.formats.ptl_file.values import Object, Opaque, PickleError, Value

ARITY = {"aten::relu": (1, 1), "aten::add.Tensor": (3, 1), "aten::dropout": (3, 1), "prim::RaiseException": (2, 0)}
OPERATORS = (("aten::relu", "", 1), ("aten::add", "Tensor", 2), ("aten::dropout", "", 3), ("aten::relu", "", 2))
CHILD = Object("__torch__.Child", (Opaque("tensor"),))
ROOT = Object("__torch__.M", (CHILD, False, True))
NONE, ZERO, FALSE, TRUE, TEXT = range(5)
CONSTANTS = (None, 0.0, False, True, "text")


def walk(*instructions: object, arguments: int = 2, root: Value = ROOT) -> None:
    operators = (*OPERATORS, ("prim::TupleUnpack", ""), ("prim::RaiseException", ""), ("aten::format", ""))
    body = code(
        *instructions,  # type: ignore[arg-type]
        operators=operators,
        constants=CONSTANTS,
        types=("List[int]", "Tensor"),
    )
    _, (found,) = functions_of(unpickle(program(function(body, arguments)), {}.get))
    check_flow(replace(found, registers=4), root, ARITY, {"aten::dropout": 2})


STORE = ("STOREN", 1, 2)
RETURN = (("LOAD", 2, 0), ("RET", 0, 0))


def test_straight_code_passes() -> None:
    walk(STORE, ("MOVE", 2, 0), ("OP", 0, 0), ("RET", 0, 0))
    walk(STORE, ("LOAD", 2, 0), ("LOAD", 2, 0), ("OP", 1, 0), ("DROPR", 2, 0), ("RET", 0, 0))
    walk(STORE, ("LOAD", 1, 0), ("GET_ATTR", 0, 0), ("GET_ATTR", 0, 0), ("RET", 0, 0))


def test_lists_tuples_and_texts_pass() -> None:
    walk(STORE, ("LOADC", 1, 0), ("LOADC", 1, 0), ("LIST_CONSTRUCT", 0, 2), ("LIST_UNPACK", 1, 0), ("RET", 0, 0))
    walk(STORE, *[("LOAD", 2, 0)] * 2, ("TUPLE_CONSTRUCT", 2, 0), ("OP", 4, 0), ("DROP", 0, 0), ("RET", 0, 0))
    walk(STORE, ("LOADC", TEXT, 0), ("LOAD", 2, 0), ("FORMAT", 2, 0), ("DROP", 0, 0), *RETURN)
    walk(STORE, ("LOADC", TEXT, 0), ("LOAD", 2, 0), ("OPN", 6, 2), ("DROP", 0, 0), *RETURN)


def test_a_branch_on_what_is_known_leads_one_way() -> None:
    """The other one would take a value too many."""
    drops = (("JF", 3, 0), ("DROP", 0, 0), ("JMP", 1, 0))
    walk(STORE, ("LOADC", FALSE, 0), *drops, *RETURN)
    with pytest.raises(PickleError, match="takes 1 values off a stack of 0"):
        walk(STORE, ("LOADC", TRUE, 0), *drops, *RETURN)


def test_branches_that_meet_with_equal_stacks_pass() -> None:
    walk(STORE, ("LOAD", 2, 0), ("JF", 3, 0), ("LOAD", 2, 0), ("JMP", 2, 0), ("LOAD", 1, 0), ("RET", 0, 0))
    walk(
        STORE,
        ("LOAD", 2, 0),
        ("JF", 4, 0),
        ("LOADC", TEXT, 0),
        ("LOADC", TEXT, 0),
        ("RAISE_EXCEPTION", 0, 0),
        *RETURN,
    )


LOOP = (STORE, *[("LOADC", 1, 0)] * 2, ("LOADC", TRUE, 0), ("LOAD", 2, 0), ("LOOP", 6, 3))


def test_a_loop_whose_turns_leave_the_stack_as_it_was_passes() -> None:
    """Before the head: turns, most turns, whether to go on, and a value handed on; a turn gets its number and that."""
    turn = (("STOREN", 3, 2), ("LOADC", TRUE, 0), ("LOAD", 4, 0), ("OP", 0, 0), ("JMP", -5, 0))
    walk(*LOOP, *turn, ("RET", 0, 0))
    with pytest.raises(PickleError, match="jumps to 5"):
        walk(*LOOP, *turn[:1], *turn[2:4], ("JMP", -4, 0), ("JMP", 1, 0), ("RET", 0, 0))


@pytest.mark.parametrize(
    ("instructions", "words"),
    [
        ([("DROP", 0, 0), ("OP", 1, 0)], "takes 2 values off a stack of 1"),
        ([("DROP", 0, 0)] * 3, "takes 1 values off a stack of 0"),
        ([("STOREN", 1, 3)], "takes 3 values off a stack of 2"),
        ([("STOREN", 4, 2)], "uses register 4 of 4"),
        ([("LOAD", 0, 0)], "uses register 0 of 4"),
        ([("LOAD", 5, 0)], "uses register 5 of 4"),
        ([("MOVE", -1, 0)], "uses register -1 of 4"),
        ([("STORE", 9, 0)], "uses register 9 of 4"),
        ([("DROPR", 9, 0)], "uses register 9 of 4"),
        ([("LOADC", 5, 0)], "uses constant 5 of 5"),
        ([("LOADC", -1, 0)], "uses constant -1 of 5"),
        ([("OP", 7, 0)], "uses operator 7 of 7"),
        ([("OP", -1, 0)], "uses operator -1 of 7"),
        ([("OP", 3, 0)], "aten::relu has 1 arguments, not 2"),
        ([("LIST_CONSTRUCT", 2, 1)], "uses type 2 of 2"),
        ([("LIST_CONSTRUCT", 1, 1)], "makes a list of the type Tensor"),
        ([("LIST_CONSTRUCT", 0, 9)], "takes 9 values"),
        ([("TUPLE_CONSTRUCT", 3, 0)], "takes 3 values"),
        ([("TUPLE_CONSTRUCT", -1, 0)], "counts -1 values"),
        ([("LIST_UNPACK", 2**30, 0)], "counts 1073741824 values"),
        ([("OP", 4, 0)], "unpacks a tuple whose length is not certain"),
        ([("TUPLE_CONSTRUCT", 1, 0), ("LOADC", TRUE, 0), ("TUPLE_INDEX", 0, 0)], "does not have it for certain"),
        ([("GET_ATTR", 0, 0)], "of what is no object"),
        ([STORE, ("LOAD", 1, 0), ("GET_ATTR", 3, 0)], "uses attribute 3 of 3"),
        ([STORE, ("LOAD", 1, 0), ("GET_ATTR", 1, 0), ("GET_ATTR", 0, 0)], "of what is no object"),
        ([STORE, ("RET", 0, 0)], "returns 0 values"),
        ([("RET", 0, 0)], "returns 2 values"),
        ([STORE, ("LOAD", 2, 0)], "runs beyond its last instruction"),
        ([STORE, ("JMP", 5, 0), ("RET", 0, 0)], "jumps to 6"),
        ([STORE, ("JMP", 0, 0), ("RET", 0, 0)], "jumps to 1"),
        ([STORE, ("JMP", -1, 0), ("RET", 0, 0)], "jumps to 0"),
        ([STORE, ("JMP", -9, 0), ("RET", 0, 0)], "jumps to -8"),
        ([("JF", 2, 0), ("DROP", 0, 0), ("RET", 0, 0)], "the stack holds"),
        ([("LOOP", 1, 3)], "a loop without its counters"),
        ([*LOOP[:-1], ("LOOP", 0, 3)], "ends before it begins"),
        ([*LOOP[:-1], ("LOOP", 3, 3), ("DROP", 0, 0), ("JMP", -2, 0), ("RET", 0, 0)], "jumps to 5"),
        ([STORE, *[("LOAD", 2, 0)] * 1001], "more than 1000 values"),
        ([STORE, ("LOAD", 2, 0), ("LOADC", ZERO, 0), ("LOADC", TRUE, 0), ("OP", 2, 0)], "random numbers"),
        ([STORE, ("LOAD", 2, 0), ("LOADC", ZERO, 0), ("LOAD", 2, 0), ("OP", 2, 0)], "random numbers"),
        ([("OPN", 0, 1)], "no changing number of values"),
    ],
)  # fmt: skip
def test_what_would_leave_its_own_is_refused(instructions: list[object], words: str) -> None:
    with pytest.raises(PickleError, match=words):
        walk(*instructions)


def test_an_operator_that_is_told_to_be_idle_is() -> None:
    """By a constant, or by an attribute of the file."""
    walk(STORE, ("LOAD", 2, 0), ("LOADC", ZERO, 0), ("LOADC", FALSE, 0), ("OP", 2, 0), ("RET", 0, 0))
    walk(STORE, ("LOAD", 2, 0), ("LOADC", ZERO, 0), ("LOAD", 1, 0), ("GET_ATTR", 1, 0), ("OP", 2, 0), ("RET", 0, 0))
    with pytest.raises(PickleError, match="random numbers"):
        walk(STORE, ("LOAD", 2, 0), ("LOADC", ZERO, 0), ("LOAD", 1, 0), ("GET_ATTR", 2, 0), ("OP", 2, 0), ("RET", 0, 0))


def test_what_two_ways_know_differently_is_not_known() -> None:
    """One way puts the root into register 3, the other its child, which has fewer attributes."""
    with pytest.raises(PickleError, match="of what is no object"):
        walk(
            STORE, ("LOAD", 1, 0), ("STORE", 3, 0), ("LOAD", 2, 0), ("JF", 4, 0),
            ("LOAD", 1, 0), ("GET_ATTR", 0, 0), ("STORE", 3, 0), ("LOAD", 3, 0), ("GET_ATTR", 2, 0), ("RET", 0, 0),
        )  # fmt: skip


def test_what_a_turn_changes_is_not_known_at_the_head_of_the_loop() -> None:
    turn = [("DROP", 0, 0), ("LOAD", 1, 0), ("GET_ATTR", 0, 0), ("STORE", 3, 0), ("LOADC", 1, 0)]
    reads = [("LOAD", 3, 0), ("GET_ATTR", 2, 0), ("DROP", 0, 0)]
    begin = [STORE, ("LOAD", 1, 0), ("STORE", 3, 0), *LOOP[1:-1]]
    with pytest.raises(PickleError, match="of what is no object"):
        walk(*begin, ("LOOP", 11, 3), *reads, *turn, ("DROP", 0, 0), ("JMP", -10, 0), *RETURN)


def test_a_jump_into_a_loop_that_knows_less_than_its_head_is_refused() -> None:
    """Past the head, with the child in register 3, where the head knows the root."""
    begin = [STORE, ("LOAD", 1, 0), ("STORE", 3, 0), *LOOP[1:-1], ("LOAD", 2, 0)]
    child = [("LOAD", 1, 0), ("GET_ATTR", 0, 0), ("STORE", 3, 0)]
    turn = [("LOADC", TRUE, 0), ("DROP", 0, 0), ("JMP", -3, 0)]
    walk(*begin, ("JF", 2, 0), ("JMP", 4, 0), *child[:2], ("DROP", 0, 0), ("LOOP", 4, 3), *turn, ("RET", 0, 0))
    with pytest.raises(PickleError, match="jumps to 14"):
        walk(*begin, ("JF", 2, 0), ("JMP", 5, 0), *child, ("JMP", 2, 0), ("LOOP", 4, 3), *turn, ("RET", 0, 0))


@pytest.mark.parametrize(
    "name",
    ["CALL", "INTERFACE_CALL", "SET_ATTR", "CREATE_OBJECT", "FORK", "WAIT", "AWAITABLE", "WARN", "ENTER", "EXIT",
     "TAIL_CALL", "PROFILE_OP", "GUARD", "TUPLE_SLICE", "TO_LIST", "ISINSTANCE", "NEW", ""],
)  # fmt: skip
def test_instructions_that_reach_beyond_a_network_are_refused_even_where_no_way_leads(name: str) -> None:
    assert name not in INSTRUCTIONS
    with pytest.raises(PickleError, match="is not allowed"):
        walk(STORE, *RETURN, (name, 0, 0))


@pytest.mark.parametrize(
    "instructions",
    [
        [STORE, *[("LOAD", 2, 0), ("JF", 20_000, 0)] * 10_000],
        [STORE, *[("LIST_UNPACK", 900, 0), ("LIST_CONSTRUCT", 0, 900)] * 10_000],
        [STORE, *[("LOADC", 1, 0)] * 4, *[("LOOP", 20_000, 3)] * 20_000],
    ],
)
def test_time_follows_from_the_number_of_instructions(instructions: list[object]) -> None:
    started = time.monotonic()
    with pytest.raises(PickleError):
        walk(*instructions)
    assert time.monotonic() - started < 10
