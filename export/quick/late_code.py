"""The Python code of graphs, generated when somebody reads or runs it instead of at every change of a graph.

Of one conversion to TFLite 45 graphs are made, changed or copied, and torch generates and compiles the code of each of
them every time. All but four are only walked node by node; the code of the others was a sixth of the conversion.

torch has the same in its own ``_LazyGraphModule``, but only where a graph comes out of certain functions.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from export.quick.known_sources import are_known

if TYPE_CHECKING:
    from torch.fx import GraphModule

TRIED_WITH = {"torch": "2.13.0"}
SOURCES = {"torch.fx.GraphModule.recompile": "98adb1519c457ae430b046da8ec7bf6f"}
_CODE = ("_code", "_lineno_map", "_prologue_start")
"""What ``recompile`` leaves in the module itself; ``forward`` it puts into the class, which is the module's own."""
_READERS = ("__reduce__", "__reduce_package__")  # pickling copies what is in the module before it asks for new code

Generate = Callable[["GraphModule"], object]


@contextmanager
def late_code() -> Iterator[bool]:
    """Generate code late while the block runs; yields False, and does nothing, beside a torch that was not read.

    Modules whose code is due when the block ends generate it when it is read or run, as within.
    """
    if not are_known(TRIED_WITH, SOURCES):
        yield False
        return
    from torch.fx import GraphModule

    with mock.patch.object(GraphModule, "recompile", _due(GraphModule.recompile)):
        yield True


def _due(generate: Generate) -> Generate:
    """``generate``, put off until somebody asks for what it makes."""

    def recompile(module: GraphModule) -> _Late:
        from torch.fx.graph import _PyTreeCodeGen

        codegen = module.graph._codegen
        if isinstance(codegen, _PyTreeCodeGen):  # what the code takes and returns is noted at once, as ever
            module._in_spec, module._out_spec = codegen.pytree_info.in_spec, codegen.pytree_info.out_spec
        module._recompile_submodules()
        for name in _CODE:
            vars(module).pop(name, None)
        for name in ("forward", *_CODE, *_READERS):
            setattr(type(module), name, _Due(module, name, generate))
        return _Late(module, generate)

    return recompile


class _Due:
    """A name whose reading generates the code of a module first. It stands in the class of this module alone."""

    def __init__(self, module: GraphModule, name: str, generate: Generate) -> None:
        self._module, self._name, self._generate = weakref.ref(module), name, generate

    def __get__(self, module: GraphModule | None, owner: type) -> object:
        due = self._module()
        if due is None:
            raise AttributeError(self._name)
        for name in (*_CODE, *_READERS):
            delattr(type(due), name)
        self._generate(due)
        return getattr(owner if module is None else module, self._name)


class _Late:
    """What ``recompile`` returns, for those few who read it."""

    def __init__(self, module: GraphModule, generate: Generate) -> None:
        self._module, self._generate = module, generate

    def __getattr__(self, name: str) -> object:
        return getattr(self._generate(self._module), name)
