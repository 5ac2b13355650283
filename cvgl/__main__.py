"""`cvgl` and `python -m cvgl`: starts the command after a look at what would be started.

The command lives in the package `flows`, and a distribution of another project may bring a package of that name, or one named
`tasks`. Which one Python finds first is chance, so it is checked before anything is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

BESIDE = ("flows", "tasks")


def main() -> None:
    """Runs the command; ends with 1 and says what to do where other packages are in the way."""
    for name in BESIDE:
        place = foreign(name)
        if place is not None:
            sys.exit(
                f"cvgl cannot start: the package '{name}' that Python finds is not cvgl's\n  where: {place}\n"
                "  to do: install cvgl in an environment of its own, or start it from another folder"
            )
    # By name, because nothing in cvgl may import the command that is built on it.
    importlib.import_module("flows.cli.app").app(prog_name="cvgl")


def foreign(name: str) -> str | None:
    """Where a package of that name lies, if it is not beside this one; None where all is right."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return "nowhere: it is not installed"
    places = [Path(place).resolve() for place in spec.submodule_search_locations or [spec.origin or ""]]
    own = Path(__file__).resolve().parents[1] / name
    return None if own in places else ", ".join(map(str, places))


if __name__ == "__main__":
    main()
