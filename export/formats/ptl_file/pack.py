"""Put objects with prepacked weights into a lite program in the place of our operator (``prepacked``).

torch can write them only where it has XNNPACK; what it writes then was looked at in files of torch 2.1.0: a constant of
the program, an object whose state is its tensors, sizes and limits, from which the runtime makes the packed weights
while it loads the file. The half of the file that only ``torch.jit.load`` reads (``code``, ``constants.pkl``) would
still call our operator, so it is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edgevit.errors import ExportError
from export.formats.ptl_file.prepacked import KINDS, OPERATOR, Packed
from export.formats.ptl_file.rewrite import Called, Made, Named, Stored, Tree, dump, load

_PROGRAM = "bytecode.pkl"
_FULL_PROGRAM = ("code/", "constants.pkl")
_MODULE = "__torch__.torch.classes.xnnpack"
_JUMPS = {"JF", "JMP", "LOOP"}
_OPERANDS = 3  # in front of the call: weight, bias, and what the product is


def packed(records: dict[str, bytes]) -> dict[str, bytes]:
    """The records of a lite program with every call of our operator as one of a runtime with XNNPACK.

    Args:
        records: By name without the archive's folder, as torch wrote them.

    Raises:
        ExportError: The program is none that our exporter writes: our operator does not take constants, or one of
            its functions has jumps.
    """
    version, *functions = _tuple(load(records[_PROGRAM]))
    rewritten = (version, *(_function(function) for function in functions))
    kept = {name: data for name, data in records.items() if not name.startswith(_FULL_PROGRAM)}
    kept[_PROGRAM] = dump(rewritten)
    used = _storages(rewritten)
    folder = "bytecode/" if any(name.startswith("bytecode/") for name in records) else "constants/"
    return {name: data for name, data in kept.items() if not name.startswith(folder) or name[len(folder) :] in used}


def _function(function: Tree) -> Tree:
    name, code, *schema = _tuple(function)
    fields = {str(key): value for key, value in map(_tuple, _tuple(code))}
    tables = _Tables(_tuple(fields["operators"]), _tuple(fields["constants"]))
    for step in _tuple(fields["instructions"]):
        tables.add(_tuple(step))
    fields |= {
        "instructions": tuple(tables.steps),
        "operators": tuple(tables.operators),
        "constants": tuple(tables.constants),
    }
    return (name, tuple(fields.items()), *schema)


@dataclass
class _Tables:
    """A function being written anew: the tables that it had, and those that it gets, without what nothing uses."""

    old_operators: tuple[Tree, ...]
    old_constants: tuple[Tree, ...]
    steps: list[Tree] = field(default_factory=list)
    operators: list[Tree] = field(default_factory=list)
    constants: list[Tree] = field(default_factory=list)
    waiting: list[Tree] = field(default_factory=list)
    """Constants on their way to a call: what our operator takes is not loaded any more."""
    places: dict[Tree | int, int] = field(default_factory=dict)

    def add(self, step: tuple[Tree, ...]) -> None:
        """Take the next instruction."""
        name, x = str(step[0]), step[1]
        assert isinstance(x, int)
        if name in _JUMPS:
            raise ExportError(f"a program with the instruction {name} cannot have prepacked weights")
        if name == "LOADC":
            self.waiting.append(x)
        elif name == "OP" and _tuple(self.old_operators[x])[0] == OPERATOR:
            self._pack(_tuple(self.old_operators[x]))
        else:
            self._flush()
            self.steps.append((name, self._operator(self.old_operators[x]), *step[2:]) if name == "OP" else step)

    def _pack(self, row: tuple[Tree, ...]) -> None:
        taken = self.waiting[-_OPERANDS:]
        if len(taken) != _OPERANDS:
            raise ExportError(f"{OPERATOR} takes what is no constant: its weights cannot be packed")
        del self.waiting[-_OPERANDS:]
        self._flush()
        weight, bias, product = (self.old_constants[int(str(place))] for place in taken)
        packed = Packed.from_json(str(product), origin="a packed product")
        kind = KINDS[packed.kind]
        sizes = (getattr(packed, name) for name in kind.fields)
        state = (weight, bias, *map(_argument, sizes), packed.least, packed.most)
        counted = (2,) if len(row) > 2 else ()
        self._load(Made(Named(_MODULE, kind.name), state), key=tuple(taken))
        self.steps.append(("OP", self._operator((kind.operator, "", *counted)), 0))

    def _flush(self) -> None:
        for place in self.waiting:
            assert isinstance(place, int)
            self._load(self.old_constants[place], key=place)
        self.waiting.clear()

    def _load(self, value: Tree, key: Tree) -> None:
        if key not in self.places:
            self.places[key] = len(self.constants)
            self.constants.append(value)
        self.steps.append(("LOADC", self.places[key], 0))

    def _operator(self, row: Tree) -> int:
        if row not in self.operators:
            self.operators.append(row)
        return self.operators.index(row)


def _argument(value: int | tuple[int, int]) -> Tree:
    return value if isinstance(value, int) else Named("torch.jit._pickle", "build_intlist")([*value])


def _storages(value: Tree) -> set[str]:
    """The names of all records that ``value`` takes tensors from."""
    if isinstance(value, Stored):
        return {value.key}
    inner: Tree = ()
    if isinstance(value, Called):
        inner = value.arguments
    elif isinstance(value, Made):
        inner = value.state
    elif isinstance(value, tuple | list):
        inner = value
    return set().union(*map(_storages, inner)) if isinstance(inner, tuple | list) else _storages(inner)


def _tuple(value: Tree) -> tuple[Tree, ...]:
    assert isinstance(value, tuple), f"expected a tuple, but found {value!r:.80}"
    return value
