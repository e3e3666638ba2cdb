"""Take views that follow one another as one permute over as few axes as it needs, between two reshapes.

Needs: ``reshape`` and ``permute`` of fixed sizes and a fixed batch, whose results nothing but the next of them reads.
Guarantees: the same values and the same bytes moved once instead of once for each permute; a reshape alone where
nothing moves. Axes of size 1 and axes that stay beside each other count as one: the windows of an image are moved over
four axes instead of six. Permutes around a convolution stay: the converter swallows them.
"""

from __future__ import annotations

import math

from torch.fx import Node

from export.artifact import PassLog
from export.graph_editor import GraphEditor
from export.passes.channels_last import SPATIAL
from export.patterns import VIEWS, are_fixed, aten, axes_of, is_call, is_permute, only_user, operand, rank_of, shape_of
from export.program import TO_NCHW, TO_NHWC

MOST_AXES = 5
"""What TRANSPOSE takes outside of a delegate up to TFLite 2.11 (``tflite_file.ranks``)."""


def run(editor: GraphEditor) -> PassLog:
    """Join every chain of views that gets fewer permutes or axes by it."""
    joined = permutes = 0
    for last in editor.nodes(*VIEWS):
        chain = _chain_to(last)
        while chain:
            count, found = _longest(chain)
            chain, run_of = chain[:-count], chain[-count:]
            moved = [node for node in run_of if node.target is aten.permute.default]
            if found is None or not _pays(found[1], moved):
                continue
            _write(editor, run_of, *found)
            joined, permutes = joined + 1, permutes + len(moved) - (len(found[1]) > 1)
    editor.sweep()
    detail = f"{joined} chains of views; {permutes} permutes fewer"
    return PassLog(name="views_as_one", rewrites=joined, detail=detail)


def _longest(chain: list[Node]) -> tuple[int, tuple[list[int], list[int]] | None]:
    """How many views at the end of ``chain`` can be one, and its sizes and axes; one view and None if none can."""
    for start in range(len(chain)):
        found = _as_one(chain[start:])
        if found is not None and len(found[1]) <= MOST_AXES:
            return len(chain) - start, found
    return 1, None


def _pays(axes: list[int], moved: list[Node]) -> bool:
    """Whether one permute into the order ``axes`` is better than ``moved``."""
    if not moved or len(axes) < 2:
        return bool(moved)
    return len(moved) > 1 or len(axes) <= MOST_AXES < rank_of(moved[0])


def _chain_to(last: Node) -> list[Node]:
    """The views that end in ``last``; none if the next one goes on."""
    if not _is_free(last):
        return []
    user = only_user(last)
    if is_call(user, *VIEWS) and _is_free(user):
        return []
    chain = [last]
    while is_call(source := operand(chain[0]), *VIEWS) and _is_free(source) and only_user(source) is chain[0]:
        chain.insert(0, source)
    return chain


def _is_free(view: Node) -> bool:
    """Whether the view belongs to no convolution or other spatial call."""
    if is_permute(view, TO_NCHW):
        return not any(is_call(user, *SPATIAL) for user in view.users)
    return not (is_permute(view, TO_NHWC) and is_call(operand(view), *SPATIAL))


def _as_one(chain: list[Node]) -> tuple[list[int], list[int]] | None:
    """Sizes for a reshape in front of ``chain`` and the order of these axes behind it; None if a reshape mixes axes."""
    shapes = [shape_of(node) for node in (operand(chain[0]), *chain)]
    if not all(are_fixed(shape) and 0 not in shape for shape in shapes):
        return None
    atoms = _Atoms(shapes[0])
    for node in chain:
        if node.target is aten.permute.default:
            atoms.permute(axes_of(node))
        elif not atoms.reshape(shape_of(node)):
            return None
    return atoms.merged()


class _Atoms:
    """Which factors of the source's axes each axis of a view consists of, outermost first; none of size 1."""

    def __init__(self, source: tuple[int, ...]) -> None:
        self._sizes = dict(enumerate(source))
        self._source = [axis for axis, size in enumerate(source) if size != 1]
        self._view = [[axis] if size != 1 else [] for axis, size in enumerate(source)]

    def permute(self, axes: tuple[int, ...]) -> None:
        """Bring the axes of the view into the order ``axes``."""
        self._view = [self._view[axis] for axis in axes]

    def reshape(self, sizes: tuple[int, ...]) -> bool:
        """Give the view the shape ``sizes``, dividing factors where it has to; False if one cannot be divided."""
        left = [atom for axis in self._view for atom in axis]
        view: list[list[int]] = []
        for size in sizes:
            axis: list[int] = []
            while (missing := size // math.prod(self._sizes[atom] for atom in axis)) > 1:
                atom = left.pop(0)
                if self._sizes[atom] > missing:
                    if self._sizes[atom] % missing:
                        return False
                    left.insert(0, self._divide(atom, missing))
                elif missing % self._sizes[atom]:
                    return False
                axis.append(atom)
            view.append(axis)
        self._view = view
        return True

    def _divide(self, atom: int, outer: int) -> int:
        """Leave ``outer`` to ``atom`` and return a new factor that stands behind it."""
        inner = len(self._sizes)
        self._sizes[inner] = self._sizes[atom] // outer
        self._sizes[atom] = outer
        self._source.insert(self._source.index(atom) + 1, inner)
        return inner

    def merged(self) -> tuple[list[int], list[int]]:
        """The sizes of the source's factors and their order in the view, with those that stay together as one."""
        order = [self._source.index(atom) for axis in self._view for atom in axis]
        groups: list[list[int]] = []
        for place in order:
            if groups and groups[-1][-1] + 1 == place:
                groups[-1].append(place)
            else:
                groups.append([place])
        ranks = sorted(range(len(groups)), key=lambda index: groups[index][0])
        sizes = [math.prod(self._sizes[self._source[place]] for place in groups[index]) for index in ranks]
        return sizes, [ranks.index(index) for index in range(len(groups))]


def _write(editor: GraphEditor, chain: list[Node], sizes: list[int], axes: list[int]) -> None:
    """One reshape, permute and reshape at the end of ``chain``; either reshape only where it changes the shape."""
    last, new = chain[-1], operand(chain[0])
    if len(axes) > 1:
        if shape_of(new) != tuple(sizes):
            new = editor.reshape(last, new, [-1, *sizes[1:]])
        new = editor.permute(last, new, axes)
    if shape_of(new) != shape_of(last):
        new = editor.reshape(last, new, [-1, *shape_of(last)[1:]])
    editor.replace(last, new)
