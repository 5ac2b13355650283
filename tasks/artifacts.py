"""What the runs' pages show: keys, tables and pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from cvgl.summary import MetricSummary

INLINE_LIMIT = 400_000  # bytes of an image that is put into the artifact itself; the server stores it in its database


def artifact_key(*parts: str) -> str:
    """A key that Prefect takes: lower case letters, digits and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def prose(text: object) -> str:
    """Text of others (names, reasons, sources) for Markdown: shown as it is, on one line, and never read as Markdown or HTML.

    A page renders what it is given: an image in a file's name would make the browser of whoever looks fetch an address. So
    the signs of Markdown and HTML are escaped, an address is no link, and line ends and controls become blanks.
    """
    line = re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(text)).strip()
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A bracket is only a link's or an image's where the closing one is followed by a target or another bracket.
    line = re.sub(r"[\\`*|~$]|\](?=[(\[:])|^\[|(?<!\w)_|_(?!\w)", r"\\\g<0>", line)
    line = re.sub(r"^([#=]|[+-](?!\S)|-(?=-)|\d+(?=[.)](\s|$)))", _at_the_start, line)  # a heading, a list or a line
    # Bare addresses become links where they are recognised by "://", "www." or a mailbox.
    line = line.replace("://", "\\://")
    return re.sub(r"(?<=www)\.|@(?=[\w-]+\.)", r"\\\g<0>", line, flags=re.IGNORECASE)


def _at_the_start(match: re.Match[str]) -> str:
    return f"{match[1]}\\" if match[1][0].isdigit() else f"\\{match[1]}"


def code(text: object) -> str:
    """Text of others as a code span, whatever backticks it holds; also within a table's cell."""
    line = re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", str(text)).strip() or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|")


def metrics_rows(summaries: Sequence[MetricSummary]) -> list[dict[str, str | int]]:
    """One row for each stage, direction and protocol, with the rates in percent, for a table artifact."""
    return [
        {
            "descriptors": str(summary.stage),
            "direction": summary.direction,
            "protocol": summary.protocol,
            "rules": summary.protocol_hash,
            **{f"R@{depth}": f"{summary.recall[depth]:.1%}" for depth in summary.recall},
            "AP": f"{summary.ap:.1%}",
            "median m": "" if summary.median_m is None else f"{summary.median_m:.0f}",
            "queries": summary.n_queries,
            "gallery": summary.n_gallery,
        }
        for summary in summaries
    ]


def metrics_markdown(summaries: Sequence[MetricSummary]) -> str:
    """The same rows as a Markdown table."""
    rows = metrics_rows(summaries)
    if not rows:
        return "There are no labels or positions to measure against."
    head = "| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0])
    return head + "".join("\n| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows)


def inline_image(path: Path) -> str | None:
    """An image as a data URL, which a page shows without asking any other server; None when it is too large for that."""
    if path.stat().st_size > INLINE_LIMIT:
        return None
    kind = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
