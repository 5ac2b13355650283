"""Labels that do not tell places apart: written in two ways, or the same for everything."""

from __future__ import annotations

import re
from dataclasses import replace

from cvgl.ingestion.entries import Listing

_WHOLE_NUMBER = re.compile(r"(-?\d+)\.0+")


def normalise_labels(listing: Listing) -> None:
    """Gives places one label each where 12 and 12.0 stand side by side, and warns where labels say nothing.

    A column of whole numbers with gaps is written as 12.0 by some programs, and as 12 where it has none.
    """
    labels = {entry.location_id for entry in listing.entries} - {None}
    same = {label: match[1] for label in labels if label and (match := _WHOLE_NUMBER.fullmatch(label)) and match[1] in labels}
    if same:
        listing.notes.append(
            f"{len(same)} places are called like {min(same)} and {same[min(same)]} both; they were taken for one"
        )
        listing.entries = [
            replace(entry, location_id=same.get(entry.location_id or "", entry.location_id)) for entry in listing.entries
        ]
    _warn(listing)


def _warn(listing: Listing) -> None:
    queries = [entry.location_id for entry in listing.entries if entry.location_id and not entry.view.is_reference]
    references = [entry.location_id for entry in listing.entries if entry.location_id and entry.view.is_reference]
    if len(queries) > 1 and len(set(queries)) == 1:
        listing.warnings.append(
            f"all {len(queries)} labelled images to be placed have the location_id '{queries[0]}': figures from such labels "
            "do not say whether places are told apart"
        )
    elif queries and len(references) > 1 and len(set(references)) == 1:
        listing.warnings.append(
            f"all {len(references)} labelled references have the location_id '{references[0]}': figures from such labels do "
            "not say whether places are told apart"
        )
    if queries and references and not set(queries) & set(references):
        listing.warnings.append(
            f"no reference has the location_id of an image to be placed, such as '{queries[0]}' (references: "
            f"'{references[0]}', ...): by these labels no answer can be right"
        )
