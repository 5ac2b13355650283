"""The description of a published data set: how it is recognised, read, counted, checked and evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cvgl.config import Layout
from cvgl.ingestion.entries import Listing


@dataclass(frozen=True, slots=True)
class Part:
    """A folder of a release, or a list in it.

    Attributes:
        name: path below the source; of a list, the name under which its reader counts it.
        images: how many are published, or rows of a list; None where no source states a number, which is then not checked.
        locations: how many are published; None where that is not checked.
        optional: whether a copy without it is complete for what the field measures.
    """

    name: str
    images: int | None
    locations: int | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class PublishedDataset:
    """One data set in one layout; `cvgl.datasets.registry` lists all of them.

    Attributes:
        layout: its name in settings.
        sign: what a folder is recognised by, as a sentence for a person: "it holds ...".
        recognises: whether a folder holds it.
        read: lists its images, labels and positions; the folder is resolved.
        protocol: name of the evaluation protocol used by default (`cvgl.retrieval.protocols`).
        parts: what is published.
        parts_in: what is published for one listing, where the release comes in several arrangements; default: `parts`.
        location_pairs: pairs of folders (first, second). Each location of the first must be in the second: without it, it
            cannot be learned from, or has no right answer.
        indispensable: those second folders without which nothing can be learned from, or found for, the first.
        even_folders: folders with the same number of images for every location.
    """

    layout: Layout
    sign: str
    recognises: Callable[[Path], bool]
    read: Callable[[Path], Listing]
    protocol: str
    parts: tuple[Part, ...]
    parts_in: Callable[[Listing], tuple[Part, ...]] | None = None
    location_pairs: tuple[tuple[str, str], ...] = ()
    indispensable: frozenset[str] = frozenset()
    even_folders: tuple[str, ...] = ()
