"""The same batches with nobody disturbing them: python -m benchmarks.chaos.calm SETTINGS, in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.chaos.town import Town


def main(file: str) -> None:
    """Lets the batches arrive one after another, each worked through by the flow."""
    request = json.loads(Path(file).read_text())
    from cvgl.config import ArrivalConfig
    from flows.arrival import arrival

    town = Town(Path(request["town"]), Path(request["drop"]), request["flights"])
    town.clear()
    for _ in range(request["batches"]):
        town.next()
        outcome = arrival(ArrivalConfig.model_validate(request["config"]))
        if len(outcome.worked) != 1:
            raise RuntimeError(f"one batch was to be worked on, and it was: {outcome}")


if __name__ == "__main__":
    main(sys.argv[1])
