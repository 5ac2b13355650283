"""The figures of a report: which there are for a run, and the data of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from cvgl.errors import LakeError
from cvgl.reporting.content import Drawing, Galleries
from cvgl.reporting.examples import Question, questions, similarities
from cvgl.reporting.figures import Cloud, draw_tsne, project, similarity_histogram, training_curves
from cvgl.reporting.gallery import retrieval_gallery
from cvgl.reporting.material import Material
from cvgl.reporting.results import STAGE_NAMES, arrow
from cvgl.types import Representation, Subset, View

if TYPE_CHECKING:
    from cvgl.adaptation import Adaptation
    from cvgl.features import FeatureStore

_MOST_PLACES, _VIEWS_OF_A_PLACE = 100, 4  # 100 scenes as in the paper's Fig. 12; 500 points at most


def histograms(material: Material) -> Iterator[Drawing]:
    """Similarity histograms, one figure a direction (Fig. 11)."""
    for question in questions(material.queries):
        panels = similarities(question)
        if panels:
            yield Drawing(
                name=f"similarity_{question.direction}",
                title=f"Similarity of right and wrong answers, {arrow(question.direction)}",
                caption="Top-1 answers of every query: matched pairs are right, unmatched pairs wrong. Separation: the "
                "probability that a matched pair is more similar than an unmatched one (0.5 is chance).",
                alt=f"Histograms of top-1 similarity of matched and unmatched pairs, {arrow(question.direction)}, by stage",
                draw=partial(similarity_histogram, panels),
            )


def curves(material: Material) -> Iterator[Drawing]:
    """Losses and pseudo-labels over the iterations."""
    history = [{"iteration": float(entry.iteration), **entry.scalars()} for entry in material.record.history]
    if history:
        yield Drawing(
            name="training",
            title="Training",
            caption=f"{len(history)} iterations of EM. Shares are of the drawn queries (labelled, mutual, changed) or of the "
            "references (chosen); no label was read. A high mutual share is agreement, not correctness.",
            alt="Curves of losses, pseudo-label shares and mean top similarity over the iterations",
            draw=partial(training_curves, history),
        )


def retrieval(galleries: Galleries) -> Iterator[Drawing]:
    """The examples as one figure a direction (Fig. 9 and 10); the page shows the same images as tiles."""
    for gallery in galleries.examples:
        yield Drawing(
            name=f"gallery_{gallery.title.replace(' → ', '_to_')}",
            title=f"Retrieval, {gallery.title}",
            caption=gallery.caption,
            alt=f"Queries and their best answers, {gallery.title}",
            draw=partial(retrieval_gallery, gallery.examples),
            on_page=False,
            dpi=100,  # a tile has about as many pixels as its thumbnail
        )


def clouds(material: Material) -> Iterator[Drawing]:
    """Both views before and after the adaptation (Fig. 12).

    Raises:
        LakeError: the features or the adapter are not in the lake any more.
    """
    from cvgl.adaptation import Adaptation
    from cvgl.features import FeatureStore

    store = FeatureStore(material.lake.features(material.record.feature_set_id or "", material.dataset))
    embedded = set(store.ids())
    if not embedded:
        raise LakeError("the features are not in the lake any more", where=store.folder, fix="run `cvgl extract` again")
    queries, references, pairs = _points(material, embedded)
    if len(queries) + len(references) < 3 or not queries or not references:
        return
    panels = [
        (cloud, project(cloud))
        for cloud in _stages(store, Adaptation.load(material.lake.adapter(material.run)), queries, references)
    ]
    joined = (
        f"Lines join the views of one place ({len(references)} places)."
        if pairs
        else "Which images show one place is not known."
    )
    yield Drawing(
        name="tsne",
        title="Both views in descriptor space (t-SNE)",
        caption=f"{joined} Views that share a place should overlap after the adaptation; a satellite cloud on its own "
        "is the view gap.",
        alt="t-SNE scatter plots of query-view and satellite descriptors, frozen and adapted",
        draw=lambda theme: draw_tsne(panels, pairs, theme),
    )


def _stages(store: FeatureStore, adaptation: Adaptation, queries: Sequence[str], references: Sequence[str]) -> Iterator[Cloud]:
    from cvgl.adaptation import standardise

    query, reference = store.read(queries), store.read(references)
    for stage, transform in ((Representation.FROZEN, standardise.frozen(query.shape[1])), (Representation.ADAPTED, adaptation)):
        yield Cloud(STAGE_NAMES[stage], transform.transform_query(query), transform.transform_reference(reference))


def _points(material: Material, embedded: set[str]) -> tuple[list[str], list[str], list[tuple[int, int]]]:
    """Query ids, reference ids, and which rows show one place. Image ids are hashes: their order is a fair draw."""
    view = str(material.record.query_view)
    question = next(
        (q for q in questions(material.queries) if q.direction == f"{view}_to_{View.SATELLITE}" and q.labelled), None
    )
    if question is None:
        most = _MOST_PLACES * (1 + _VIEWS_OF_A_PLACE) // 2
        sides = [_ids_of(material, side, embedded)[:most] for side in (view, str(View.SATELLITE))]
        return sides[0], sides[1], []
    members = _by_place(question, embedded)
    satellites = material.places[View.SATELLITE]
    queries: list[str] = []
    references: list[str] = []
    pairs: list[tuple[int, int]] = []
    for place, images in members.items():
        if satellites.get(place) not in embedded:
            continue
        if len(references) == _MOST_PLACES:
            break
        pairs += [(len(queries) + number, len(references)) for number in range(len(images))]
        queries += images
        references.append(satellites[place])
    return queries, references, pairs


def _by_place(question: Question, embedded: set[str]) -> dict[str, list[str]]:
    table = next(iter(question.stages.values()))
    members: dict[str, list[str]] = {}
    for image, place in zip(table["image_id"].to_pylist(), table["location_id"].to_pylist(), strict=True):
        if place is not None and image in embedded and len(members.setdefault(place, [])) < _VIEWS_OF_A_PLACE:
            members[place].append(image)
    return members


def _ids_of(material: Material, view: str, embedded: set[str]) -> list[str]:
    wanted = material.images.filter(pc.equal(material.images["view"], view))
    rows = zip(wanted["image_id"].to_pylist(), wanted["subsets"].to_pylist(), strict=True)
    return sorted(image for image, subsets in rows if image in embedded and set(subsets) & {Subset.QUERY, Subset.GALLERY})


def all_drawings(material: Material, galleries: Galleries) -> tuple[list[Drawing], list[str]]:
    """Every figure that this run has data for, and a note on each that it lacks data for."""
    drawings = [*histograms(material)]
    notes = []
    try:
        drawings += clouds(material)
    except LakeError as error:
        notes.append(f"The t-SNE figure is left out: {error.what}.")
    return [*drawings, *curves(material), *retrieval(galleries)], notes
