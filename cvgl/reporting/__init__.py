"""Figures of the paper, retrieval galleries and the HTML report, from arrays and tables.

Drawing needs matplotlib, t-SNE scikit-learn, the page jinja2: each is imported when it is used.
"""

from __future__ import annotations

from cvgl.reporting.document import Document, render
from cvgl.reporting.figures import Cloud, Similarities, separation, similarity_histogram, training_curves, tsne
from cvgl.reporting.gallery import Example, Strip, Tile, retrieval_gallery
from cvgl.reporting.theme import DARK, LIGHT, Theme, to_png, to_svg

__all__ = [
    "DARK",
    "LIGHT",
    "Cloud",
    "Document",
    "Example",
    "Similarities",
    "Strip",
    "Theme",
    "Tile",
    "render",
    "retrieval_gallery",
    "separation",
    "similarity_histogram",
    "to_png",
    "to_svg",
    "training_curves",
    "tsne",
]
