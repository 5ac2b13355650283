"""The report of one run as one HTML file that needs nothing but itself.

`Document` holds what is said; the template beside this module says it. Everything that comes from outside (file names,
dataset names, addresses) is text to the template, which escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cvgl import __version__
from cvgl.errors import require
from cvgl.reporting.gallery import THUMBNAIL_SIZE, Example, Tile, thumbnail_or_reason, uri_of
from cvgl.reporting.results import ResultTable
from cvgl.reporting.theme import data_uri

_SAFE_SCHEMES = {"http", "https", "file"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure in both colour schemes.

    Attributes:
        title: heading.
        caption: what to see in it.
        alt: what it shows, for those who cannot see it.
        light: SVG.
        dark: SVG.
    """

    title: str
    caption: str
    alt: str
    light: bytes
    dark: bytes


@dataclass(frozen=True, slots=True)
class Gallery:
    """Images of queries and their answers, in one direction."""

    title: str
    caption: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A plain table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The images that ingestion refused: all by reason, and the first of them one by one."""

    total: int
    reasons: tuple[tuple[str, int], ...]
    entries: tuple[tuple[str, str, str], ...]  # file, reason, detail


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the views were aligned before they were described.

    Attributes:
        reason: the choice in words, and why.
        candidates: all that were tried; no rows where there was nothing to choose by.
        left_out: those that the budget did not allow.
    """

    reason: str
    candidates: Grid
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of the run without labels.

    Attributes:
        verdict: accepted, uncertain or refused.
        reason: why, for a person.
        predictions: the shares to be expected, with their intervals.
        scores: of frozen and adapted descriptors.
        candidates: the recipes that were compared, and what each came to; no rows where none were.
        choice: why the recipe was chosen; empty where it was given.
        warnings: what was found about the images.
    """

    verdict: str
    reason: str
    predictions: Grid
    scores: Grid
    candidates: Grid
    choice: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that a report says, in its order."""

    run: str
    dataset: str
    headlines: Sequence[str]
    results: tuple[ResultTable, ...]
    unlabelled_reason: str
    figures: tuple[Picture, ...]
    examples: tuple[Gallery, ...]
    hardest: tuple[Gallery, ...]
    counts: Grid
    refused: Refused
    settings: Mapping[str, Mapping[str, str]]
    fingerprints: Mapping[str, str]
    commands: Sequence[str]
    links: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    verdict: str = ""  # the gate's word; empty before a registration
    reason: str = ""
    alignment: Alignment | None = None
    judgement: Judgement | None = None


def render(document: Document) -> str:
    """The document as HTML: no scripts, no outside address is fetched, light and dark, screen and paper.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    jinja2: Any = require("jinja2", extra="pipeline", purpose="write the HTML report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cvgl.reporting"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg_uri"] = lambda data: data_uri(data, "image/svg+xml")
    template = environment.get_template("report.html.j2")
    thumbnails, unavailable = _thumbnails([*document.examples, *document.hardest])
    text: str = template.render(
        document=document,
        links=_addresses(document.links),
        thumbnails=thumbnails,
        unavailable=unavailable,
        version=__version__,
    )
    return text


def _addresses(links: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """(name, address, whether it may be followed): only web pages and files, so that no address can run anything."""
    return [(name, address, urlsplit(address).scheme.lower() in _SAFE_SCHEMES) for name, address in links.items() if address]


def _thumbnails(galleries: Sequence[Gallery]) -> tuple[dict[str, str], dict[str, str]]:
    """File -> data URI of every image that can still be read, and file -> why of the others; each is decoded once."""
    tiles: list[Tile] = []
    for gallery in galleries:
        for example in gallery.examples:
            tiles += [example.query, *(answer for strip in example.strips for answer in strip.answers)]
            tiles += [example.truth] if example.truth else []
    files = dict.fromkeys(tile.picture for tile in tiles if tile.picture is not None)
    made = {str(file): thumbnail_or_reason(file, THUMBNAIL_SIZE) for file in files}
    return (
        {file: uri_of(image) for file, image in made.items() if not isinstance(image, str)},
        {file: reason for file, reason in made.items() if isinstance(reason, str)},
    )
