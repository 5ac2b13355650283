"""What a table says that was not taken as it stands: counted by kind, so that a note says how often, and in which rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

Remark: TypeAlias = Callable[[str], None]
"""Takes a sentence about the row that is being read."""

_MAX_EXAMPLES = 5  # rows of each kind


def ignore_remark(sentence: str) -> None:
    """Takes a remark and keeps quiet about it."""


@dataclass(slots=True)
class Remarks:
    """Remarks about the rows of one table, in the order in which their kinds came first."""

    rows: dict[str, list[int]] = field(default_factory=dict)

    def about(self, row: int) -> Remark:
        """A function that remarks on one row."""

        def remark(sentence: str) -> None:
            self.rows.setdefault(sentence, []).append(row)

        return remark

    def notes(self, table: str) -> Iterable[str]:
        """One note for each kind.

        Args:
            table: its name.
        """
        for sentence, rows in self.rows.items():
            # A row may be remarked on twice, for two of its cells.
            numbers = list(dict.fromkeys(rows))
            examples = ", ".join(map(str, numbers[:_MAX_EXAMPLES])) + (", ..." if len(numbers) > _MAX_EXAMPLES else "")
            count = f"{len(rows)} cells in {len(numbers)} rows" if len(rows) > len(numbers) else f"{len(rows)} rows"
            yield f"{table}: {sentence}: {count if len(rows) > 1 else '1 row'} ({examples})"
