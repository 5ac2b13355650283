"""Figures of arrays: what they count, that they survive degenerate data, and that they are the same bytes each time."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.reporting import (
    DARK,
    LIGHT,
    Cloud,
    Similarities,
    Theme,
    separation,
    similarity_histogram,
    to_png,
    to_svg,
    training_curves,
    tsne,
)
from cvgl.reporting.figures import project
from cvgl.reporting.theme import recoloured

RNG = np.random.default_rng(0)


def titles(figure: object) -> list[str]:
    return [axis.get_title(loc="left") for axis in figure.axes]


class TestSeparation:
    def test_is_the_share_of_pairs_in_the_right_order(self) -> None:
        matched, unmatched = RNG.normal(0.6, 0.2, 40).round(1), RNG.normal(0.4, 0.2, 60).round(1)
        naive = np.mean([(a > b) + (a == b) / 2 for a in matched for b in unmatched])
        assert separation(matched, unmatched) == pytest.approx(naive)

    def test_extremes(self) -> None:
        assert separation([0.9, 0.8], [0.1]) == 1.0
        assert separation([0.1], [0.9]) == 0.0
        assert separation([0.5, 0.5], [0.5]) == 0.5
        assert separation([], [0.5]) is None
        assert separation([math.nan], [0.5]) is None


class TestSimilarityHistogram:
    def test_counts_every_pair_in_a_panel_a_stage(self) -> None:
        panels = [Similarities("frozen", [0.98, 0.99], [0.981] * 5), Similarities("adapted", [0.4, 0.6, 0.7], [0.1])]
        figure = similarity_histogram(panels)
        assert titles(figure) == ["frozen — separation 0.50", "adapted — separation 1.00"]
        legends = [[text.get_text() for text in axis.get_legend().get_texts()] for axis in figure.axes]
        assert legends == [["unmatched (5)", "matched (2)"], ["unmatched (1)", "matched (3)"]]

    def test_panels_have_ranges_of_their_own(self) -> None:
        panels = [Similarities("frozen", [0.99], [0.98]), Similarities("adapted", [0.7], [0.1])]
        low, high = similarity_histogram(panels).axes[0].get_xlim()
        assert high - low < 0.05

    @pytest.mark.parametrize(
        ("matched", "unmatched"), [([], []), ([0.5], []), ([0.5] * 9, [0.5]), ([math.nan, 0.2], [math.inf, 0.1])]
    )
    def test_degenerate(self, matched: list[float], unmatched: list[float]) -> None:
        assert to_svg(similarity_histogram([Similarities("frozen", matched, unmatched)]))

    def test_no_panel(self) -> None:
        with pytest.raises(DataError, match="nothing to draw"):
            similarity_histogram([])


class TestTrainingCurves:
    HISTORY = tuple(
        {"iteration": i, "loss_total": 100.0 / i, "loss_contrast": 3.0, "mutual_share": i / 60, "top": 0.5}
        for i in range(1, 61)
    )

    def test_losses_shares_and_the_rest_have_panels(self) -> None:
        figure = training_curves(self.HISTORY)
        assert titles(figure) == ["losses", "shares", "similarity"]
        line = figure.axes[0].get_lines()[1]
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert (line.get_label(), x[0], y[-1]) == ("total", 1, pytest.approx(100 / 60))

    def test_losses_of_different_size_are_both_seen(self) -> None:
        assert training_curves(self.HISTORY).axes[0].get_yscale() == "log"
        assert training_curves([{"iteration": 1, "loss_total": 2.0, "loss_a": 0.0}]).axes[0].get_yscale() == "linear"

    def test_long_histories_keep_both_ends_and_stay_small(self) -> None:
        history = [{"iteration": i, "loss_total": float(i)} for i in range(1, 20_002)]
        line = training_curves(history).axes[0].get_lines()[0]
        assert tuple(np.asarray(line.get_xdata())[[0, -1]]) == (1, 20_001)
        assert len(np.asarray(line.get_xdata())) <= 402

    def test_metric_that_is_missing_at_first(self) -> None:
        history = [{"iteration": 1, "mutual_share": 0.1}, {"iteration": 2, "mutual_share": 0.2, "changed_share": 0.5}]
        changed = training_curves(history).axes[0].get_lines()[0]
        assert (changed.get_label(), np.asarray(changed.get_xdata()).tolist()) == ("changed", [2.0])

    @pytest.mark.parametrize("history", [[], [{"iteration": 1}]])
    def test_nothing_to_draw(self, history: list[dict[str, float]]) -> None:
        with pytest.raises(DataError, match="no iteration"):
            training_curves(history)


class TestTsne:
    CLOUD = Cloud("frozen", RNG.normal(size=(24, 8)).astype(np.float32), RNG.normal(size=(12, 8)).astype(np.float32) + 20)

    def test_keeps_clusters_apart(self) -> None:
        points = project(self.CLOUD)
        query, reference = points[:24], points[24:]
        assert points.shape == (36, 2)
        assert np.linalg.norm(query.mean(0) - reference.mean(0)) > query.std() + reference.std()

    def test_is_the_same_each_time_and_another_with_another_seed(self) -> None:
        assert np.array_equal(project(self.CLOUD), project(self.CLOUD))
        assert not np.array_equal(project(self.CLOUD), project(self.CLOUD, seed=1))

    def test_draws_both_views_and_joins_pairs(self) -> None:
        axis = tsne([self.CLOUD], pairs=[(0, 0), (1, 0)]).axes[0]
        assert [len(np.asarray(points.get_offsets())) for points in axis.collections] == [24, 12]
        assert len(axis.get_lines()) == 2

    def test_descriptors_that_are_all_the_same(self) -> None:
        assert np.isfinite(project(Cloud("x", np.ones((4, 3), np.float32), np.ones((2, 3), np.float32)))).all()

    def test_bad_input(self) -> None:
        constant = np.ones((1, 3), np.float32)
        with pytest.raises(DataError, match="three points"):
            project(Cloud("x", constant, constant))
        with pytest.raises(DataError, match="NaN"):
            project(Cloud("x", constant * np.nan, np.ones((5, 3), np.float32)))


class TestBytes:
    def test_the_same_figure_gives_the_same_bytes(self) -> None:
        def draw() -> tuple[bytes, bytes]:
            figure = similarity_histogram([Similarities("frozen", [0.1, 0.2, 0.9], [0.0, 0.3])])
            return to_png(figure), to_svg(figure)

        first, second = draw(), draw()
        assert first == second
        assert first[0].startswith(b"\x89PNG")
        assert b"<dc:date>" not in first[1]

    def test_themes_differ_in_colour_only(self) -> None:
        light, dark = (to_svg(similarity_histogram([Similarities("x", [0.1], [0.2])], theme)) for theme in (LIGHT, DARK))
        assert DARK.background.encode() in dark
        assert DARK.background.encode() not in light

    @pytest.mark.parametrize("kind", ["histogram", "curves"])
    def test_recoloured_is_as_good_as_drawn(self, kind: str) -> None:
        def colours(svg: bytes) -> list[bytes]:
            return re.findall(rb"#[0-9a-f]{6}\b", svg)

        def draw(theme: Theme) -> bytes:
            if kind == "curves":
                return to_svg(training_curves(TestTrainingCurves.HISTORY, theme))
            return to_svg(similarity_histogram([Similarities("x", [0.1, 0.3], [0.2])], theme))

        assert colours(recoloured(draw(LIGHT), LIGHT, DARK)) == colours(draw(DARK))
        assert recoloured(draw(LIGHT), LIGHT, LIGHT) == draw(LIGHT)

    def test_names_are_text_not_formulas_or_markup(self) -> None:
        svg = to_svg(similarity_histogram([Similarities("$\\frac{a}$ <script>", [0.1], [0.2])]))
        ET.fromstring(svg)  # noqa: S314 - our own bytes: well-formed is what is tested
        assert b"<script>" not in svg

    def test_settings_do_not_leak_into_other_figures(self) -> None:
        import matplotlib as mpl

        before = mpl.rcParams["axes.facecolor"]
        to_svg(similarity_histogram([Similarities("x", [0.1], [0.2])], DARK))
        assert mpl.rcParams["axes.facecolor"] == before
