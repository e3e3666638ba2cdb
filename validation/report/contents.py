"""What the measured artifacts are: size, operators, what a delegate took, parity; most of it from their manifests."""

from __future__ import annotations

from collections.abc import Sequence

from export.artifact import Delegation, Piece
from validation.latency.tables import ABSENT
from validation.report.entries import Entry
from validation.report.rows import ArtifactRow
from validation.report.tables import Column, counted

_NAMED = 4  # pieces outside a delegate that a sentence names; chosen: more are no sentence


def artifact_rows(entries: Sequence[Entry]) -> tuple[ArtifactRow, ...]:
    """One row for each measured file, by name."""
    rows = {entry.sha256: _row(entry) for entry in entries if entry.latency is not None}
    return tuple(sorted(rows.values(), key=lambda row: (row.artifact, row.sha256)))


def _row(entry: Entry) -> ArtifactRow:
    facts = entry.facts
    return ArtifactRow(
        artifact=entry.artifact + entry.suffix,
        sha256=entry.sha256,
        format=entry.format,
        size_bytes=entry.size_bytes,
        precision=None if facts.recipe is None else facts.recipe.precision_words,
        operators=facts.operators,
        delegation=facts.delegation,
        parity=facts.parity,
    )


def artifact_columns(rows: Sequence[ArtifactRow]) -> list[Column]:
    """The columns that have anything to say."""
    columns = [
        Column("artifact", tuple(row.artifact for row in rows), number=False),
        Column("precision", tuple(row.precision or ABSENT for row in rows), number=False),
        Column("MB", tuple(f"{row.size_bytes / 1e6:.1f}" for row in rows)),
        Column("operators", tuple(ABSENT if row.operators is None else str(row.operators) for row in rows)),
        Column("delegated", tuple(_delegated(row.delegation) for row in rows)),
        Column("partitions", tuple(ABSENT if not row.delegation else str(row.delegation.partitions) for row in rows)),
        Column("parity", tuple(_parity(row) for row in rows), number=False),
    ]
    return [column for column in columns if any(cell != ABSENT for cell in column.cells)]


def brief_columns(rows: Sequence[ArtifactRow]) -> list[Column]:
    """What fits on a console of 80 columns: shares as counts, and no precision where all have one."""
    columns = {column.title: column for column in artifact_columns(rows)}
    if len({row.precision for row in rows}) == 1:
        columns.pop("precision", None)
    if columns.pop("partitions", None) is not None:
        counts = tuple(ABSENT if row.delegation is None else _in_pieces(row.delegation) for row in rows)
        columns["delegated"] = Column("delegated", counts)
    if "parity" in columns:
        words = tuple(cell.removesuffix(" yardstick") for cell in columns["parity"].cells)
        columns["parity"] = Column("parity", words, number=False)
    return list(columns.values())


def _in_pieces(delegation: Delegation) -> str:
    return f"{delegation.delegated} of {delegation.total} in {delegation.partitions}"


def _delegated(delegation: Delegation | None) -> str:
    if delegation is None or not delegation.total:
        return ABSENT
    share = f"{delegation.delegated / delegation.total:.1%}"
    if delegation.delegated < delegation.total:
        share = share.replace("100.0%", ">99.9%")
    return f"{share.replace('%', ' %')} ({delegation.delegated} of {delegation.total})"


def _parity(row: ArtifactRow) -> str:
    if row.parity is None:
        return ABSENT
    return f"{'passed' if row.parity.passed else 'failed'}: {row.parity.figure}"


def delegation_words(delegation: Delegation) -> str:
    """What a delegate took and what stays outside, in the order of execution."""
    outside = [piece for piece in delegation.pieces if not piece.delegated]
    text = (
        f"{delegation.delegated} of {delegation.total} operators inside {delegation.delegate}, "
        f"in {counted(delegation.partitions, 'partition')}"
    )
    if delegation.delegated == delegation.total:
        return text + "; none outside."
    named = [outside_words(piece) for piece in outside[:_NAMED]] or list(delegation.left[:_NAMED])
    more = (len(outside) or len(delegation.left)) - len(named)
    return f"{text}; outside: {'; '.join(named)}{f'; and in {more} more places' if more else ''}."


def outside_words(piece: Piece) -> str:
    """Which operators of a piece outside a delegate, and in which modules of the network."""
    names = ", ".join(piece.names)
    count = f" x {piece.operators}" if piece.operators > 1 and len(piece.names) == 1 else ""
    count = f" ({piece.operators} operators)" if len(piece.names) > 1 else count
    modules = f" in {', '.join(piece.modules[:2])}{' and others' if len(piece.modules) > 2 else ''}"
    return names + count + (modules if piece.modules else "")
