"""What came of the inputs of one family."""

from __future__ import annotations

import resource
import traceback
from dataclasses import asdict, dataclass, field
from typing import Any

_EXAMPLES = 5  # of each kind of failure that are kept in full


@dataclass(slots=True)
class Tally:
    """Counts of one family.

    Attributes:
        family: its name.
        tried: inputs.
        accepted: inputs that gave an answer.
        refused: inputs that were refused with a reason.
        tracebacks: inputs that ended in an exception which is none of ours.
        lost: sound images that did not go through, and unsound ones without a reason.
        wrong: answers that differ from those of undamaged files.
        peak_gib: the most memory that the process and its children held, in GiB.
        examples: of failures, for whoever mends them.
    """

    family: str
    tried: int = 0
    accepted: int = 0
    refused: int = 0
    tracebacks: int = 0
    lost: int = 0
    wrong: int = 0
    peak_gib: float = 0.0
    examples: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.tracebacks or self.lost or self.wrong)

    def crashed(self, label: str, error: BaseException) -> None:
        self.tracebacks += 1
        self._keep(f"{label}: {''.join(traceback.format_exception(error))[-1500:]}")

    def loses(self, label: str, names: object) -> None:
        self.lost += 1
        self._keep(f"{label}: lost {names}")

    def differs(self, label: str, detail: object) -> None:
        self.wrong += 1
        self._keep(f"{label}: {detail}")

    def _keep(self, text: str) -> None:
        if len(self.examples) < _EXAMPLES:
            self.examples.append(text)

    def as_json(self) -> dict[str, Any]:
        own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        self.peak_gib = max(own, children) / 2**20  # Linux counts in KiB
        return asdict(self)
