"""The page: complete, self-contained, and deaf to what names try to make it do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cvgl.reporting import Document, Example, Strip, Tile, render
from cvgl.reporting.document import Gallery, Grid, Picture, Refused
from cvgl.reporting.results import headlines, result_tables
from cvgl.types import Representation
from tests.data.images import place_image, save
from tests.reporting.pages import Page
from tests.reporting.summaries import summary

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>&\"'"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
SUMMARIES = [
    summary(Representation.FROZEN, 0.18),
    summary(Representation.STANDARDISED, 0.41),
    summary(Representation.ADAPTED, 0.44),
]


def document(tmp_path: Path, **changes: Any) -> Document:
    here = Tile(save(place_image(1), tmp_path / "here.jpg"), "0001")
    gone = Tile(tmp_path / "gone.jpg", "0.500", correct=False)
    example = Example(here, (Strip("adapted", (replace(here, correct=True), gone)),), "an example", here)
    plain = Document(
        run="town-paper-1",
        dataset="town",
        headlines=headlines(SUMMARIES),
        results=tuple(result_tables(SUMMARIES)),
        unlabelled_reason="",
        figures=(Picture("Similarity", "A caption", "What it shows", SVG, SVG),),
        examples=(Gallery("drone → satellite", "Caption", (example,)),),
        hardest=(Gallery("drone → satellite", "Caption", (example,)),),
        counts=Grid(("view", "pictures"), (("drone", "10"),), (False, True)),
        refused=Refused(2, (("empty", 2),), (("/a.jpg", "empty", "0 bytes"), ("/b.jpg", "empty", "0 bytes"))),
        settings={"Adaptation": {"seed": "0"}},
        fingerprints={"run": "town-paper-1"},
        commands=["cvgl run --config settings.json"],
        links={"MLflow": "http://127.0.0.1:5000/#/runs/1"},
    )
    return replace(plain, **changes)


class TestContent:
    def test_opens_with_the_answer(self, tmp_path: Path) -> None:
        text = Page(render(document(tmp_path))).text
        assert text.index("raises R@1") < text.index("view-standardised") < text.index("Similarity") < text.index("Quarantine")
        assert all(phrase in text for phrase in ("18.0", "41.0", "44.0", "+26.0", "standard", "abc"))

    def test_tags_are_balanced_and_everything_has_a_name(self, tmp_path: Path) -> None:
        page = Page(render(document(tmp_path)))
        assert page.open == []
        assert all(image["alt"] for image in page.all("img"))
        assert all("scope" in header for header in page.all("th"))
        ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
        assert {link["href"] for link in page.all("a") if (link["href"] or "").startswith("#")} == {
            f"#{i}" for i in ids if "-" not in str(i)
        }

    def test_needs_no_network_and_no_script(self, tmp_path: Path) -> None:
        html = render(document(tmp_path))
        page = Page(html)
        sources = [image["src"] for image in page.all("img")] + [source["srcset"] for source in page.all("source")]
        assert sources
        assert all((source or "").startswith("data:image/") for source in sources)
        assert all((link["href"] or "") == "data:," for link in page.all("link"))
        assert page.all("script") == page.all("iframe") == []
        assert "url(" not in html
        assert "@import" not in html

    def test_right_and_wrong_are_told_in_words_and_signs(self, tmp_path: Path) -> None:
        page = Page(render(document(tmp_path)))
        assert "right answer: here.jpg" in [image["alt"] for image in page.all("img")]
        assert "✓" in page.text
        assert "✗" in page.text

    def test_images_that_are_gone_are_said_to_be(self, tmp_path: Path) -> None:
        page = Page(render(document(tmp_path)))
        assert "image not found" in page.text
        assert {"gone.jpg"} <= {attributes.get("title") for attributes in page.all("span")}

    @pytest.mark.parametrize("verdict", ["promoted", "refused", "unchanged"])
    def test_verdict_of_the_gate(self, tmp_path: Path, verdict: str) -> None:
        text = Page(render(document(tmp_path, verdict=verdict, reason="R@1 0.1 below"))).text
        assert f"Gate: {verdict}." in text
        assert "R@1 0.1 below" in text

    def test_without_ground_truth_it_says_why(self, tmp_path: Path) -> None:
        bare = document(
            tmp_path, results=(), headlines=(), unlabelled_reason="No known place.", figures=(), examples=(), hardest=()
        )
        page = Page(render(bare))
        assert "No figures can be given. No known place." in page.text
        assert "Figures" not in page.text
        assert page.open == []

    def test_quarantine_tells_how_much_is_not_shown(self, tmp_path: Path) -> None:
        text = Page(render(document(tmp_path, refused=Refused(1200, (("empty", 1200),), (("/a", "empty", "."),))))).text
        assert "1,200 refused" in text
        assert "The first 1" in text
        assert "Nothing was refused" in Page(render(document(tmp_path, refused=Refused(0, (), ())))).text


class TestHostility:
    def test_names_are_only_ever_text(self, tmp_path: Path) -> None:
        tile = Tile(tmp_path / "<b onmouseover=alert(1)>.jpg", HOSTILE, correct=True)
        gallery = Gallery(HOSTILE, HOSTILE, (Example(tile, (Strip(HOSTILE, (tile,)),), HOSTILE, tile),))
        page = Page(
            render(
                document(
                    tmp_path,
                    run=HOSTILE,
                    dataset=HOSTILE,
                    headlines=[HOSTILE],
                    figures=(Picture(HOSTILE, HOSTILE, HOSTILE, SVG, SVG),),
                    examples=(gallery,),
                    counts=Grid((HOSTILE,), ((HOSTILE,),), (False,)),
                    refused=Refused(1, ((HOSTILE, 1),), ((HOSTILE, HOSTILE, HOSTILE),)),
                    settings={HOSTILE: {HOSTILE: HOSTILE}},
                    fingerprints={HOSTILE: HOSTILE},
                    commands=[HOSTILE],
                    links={HOSTILE: HOSTILE},
                    verdict=HOSTILE,
                    reason=HOSTILE,
                    notes=[HOSTILE],
                )
            )
        )
        assert page.all("script") == page.all("b") == []
        assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
        assert page.text.count("<script>") >= 12
        assert page.open == []

    @pytest.mark.parametrize(
        "address", ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//evil/x", " javascript:x"]
    )
    def test_addresses_that_run_something_are_not_links(self, tmp_path: Path, address: str) -> None:
        page = Page(render(document(tmp_path, links={"MLflow": address})))
        assert address not in [link["href"] for link in page.all("a")]
        assert address in page.text

    def test_web_pages_are_links(self, tmp_path: Path) -> None:
        page = Page(render(document(tmp_path)))
        assert "http://127.0.0.1:5000/#/runs/1" in [link["href"] for link in page.all("a")]


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    assert render(document(tmp_path)) == render(document(tmp_path))
