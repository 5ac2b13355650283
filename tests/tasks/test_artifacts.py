from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from cvgl.summary import MetricSummary
from cvgl.types import Representation
from tasks.artifacts import INLINE_LIMIT, artifact_key, code, inline_image, metrics_markdown, metrics_rows, prose
from tests.data.images import place_image, save

SUMMARY = MetricSummary(
    stage=Representation.ADAPTED,
    direction="drone_to_satellite",
    protocol="university1652-951",
    protocol_hash="0" * 16,
    recall={"1": 0.4, "5": 0.611, "10": 0.7, "1%": 0.4},
    ap=0.46,
    median_m=31.4,
    n_queries=100,
    n_gallery=50,
)


@pytest.mark.parametrize(
    ("parts", "key"),
    [(("Adapt", "My_Set.v2"), "adapt-my-set-v2"), (("a", "--b--"), "a-b"), (("timm/ViT-Ti", "x"), "timm-vit-ti-x")],
)
def test_keys_are_what_prefect_takes(parts: tuple[str, ...], key: str) -> None:
    assert artifact_key(*parts) == key


def test_figures_are_percent_in_the_tables() -> None:
    [row] = metrics_rows([SUMMARY])
    assert row["R@1"] == "40.0%"
    assert row["R@5"] == "61.1%"
    assert row["AP"] == "46.0%"
    assert row["median m"] == "31"
    assert metrics_markdown([SUMMARY]).splitlines()[0].startswith("| descriptors | direction |")
    assert len(metrics_markdown([SUMMARY]).splitlines()) == 3


def test_no_labels_is_said_in_words() -> None:
    assert metrics_rows([]) == []
    assert "no labels" in metrics_markdown([])


def test_images_go_into_the_artifact_unless_they_are_large(tmp_path: Path) -> None:
    small = save(place_image(1), tmp_path / "small.png")
    address = inline_image(small)
    assert address is not None
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == small.read_bytes()
    large = tmp_path / "large.png"
    large.write_bytes(bytes(INLINE_LIMIT + 1))
    assert inline_image(large) is None


HOSTILE = [
    "![x](https://example.org/pixel.png)",
    "[click](javascript:alert(1))",
    "<img src=https://example.org/pixel.png>",
    "<script>alert(1)</script>",
    "https://example.org/?q=1 and www.example.org and a@example.org",
    "[x][y] and ![x][y] and [z]: https://example.org and ![a](b) c](d)",
    "[ ] to do",
    "| a | b |\n|---|---|\n| c | d |",
    "a\r\n\r\n# heading\n- item\n> quote",
    "*bold* _slanted_ ~~gone~~ `code` ``two`` \\",
    "# heading",
    "- item",
    "1. item",
    "---",
    "&lt;b&gt; &amp;",
    "tab\tbell\x07esc\x1b[31m",
]


def rendered(markdown: str) -> str:
    """As a page makes it, with tables, and addresses that become links."""
    module = pytest.importorskip("markdown_it")
    parser = module.MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
    return str(parser.render(markdown))


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_others_is_shown_and_never_read_as_markdown(text: str) -> None:
    import html

    visible = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())
    assert "\n" not in prose(text)
    assert html.unescape(rendered(prose(text))) == f"<p>{visible}</p>\n"
    assert not re.search(r"(?<!\\)://|(?i:www)\.|(?<!\\)@[\w-]+\.", prose(text))
    row = rendered(f"| a | b |\n|---|---|\n| {prose(text)} | {code(text)} |\n")
    assert [row.count(tag) for tag in ("<td>", "<img", "<a ", "<script", "<strong", "<em")] == [2, 0, 0, 0, 0, 0]
    assert html.unescape(row).count(visible) == 2
    assert html.unescape(rendered(code(text).replace("\\|", "|"))) == f"<p><code>{visible}</code></p>\n"


def test_usual_names_stay_as_they_are() -> None:
    for text in ("university_mini", "town-robust-0123", "R@1 92.2% [88.8%, 95.0%]", "a.b/c d.jpg", "0.5 m", "-0.5 m"):
        assert prose(text) == text
