"""The cost-quality picture: what is in it, that it is the same each time, and which points are on the front."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.charts.cost_quality import (
    APART,
    Line,
    Panel,
    Point,
    draw,
    envelope,
    pareto,
    proportion,
    side_by_side,
)
from ianvs_collab.statistics import wilson

POINTS = [
    proportion("edge-only", 50, 100, 0.0),
    proportion("tfidf (share=0.4)", 70, 100, 0.4),
    proportion("cloud-only", 90, 100, 1.0),
    proportion("oracle", 95, 100, 0.3, attainable=False),
]
GRID = [0.0, 0.5, 1.0]
LINES = [
    Line("prior", GRID, [0.5, 0.8, 0.9], [0.4, 0.7, 0.8], [0.6, 0.9, 1.0]),
    Line("length", GRID, [0.5, 0.7, 0.9]),
    Line("oracle", GRID, [0.5, 0.95, 0.9], attainable=False),
]


def texts(svg: bytes) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg.decode())


class TestDrawing:
    @pytest.mark.parametrize(("kind", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
    def test_the_same_input_gives_the_same_bytes(self, kind: Literal["svg", "png"], start: bytes) -> None:
        panel = Panel("wifi", POINTS, LINES, edge=0.5, cloud=0.9)
        first = draw([panel], kind)
        assert first.startswith(start)
        assert draw([panel], kind) == first
        assert draw([replace(panel, title="4g")], kind) != first

    def test_points_stand_in_the_legend_with_what_they_are_measured_by(self) -> None:
        drawn = texts(draw([Panel("wifi", POINTS, edge=0.5, cloud=0.9)]))
        assert {one.label for one in POINTS} | {"random line", "Pareto front", "wifi", "accuracy"} <= set(drawn)
        assert "edge only" not in drawn  # it is among the points already

    def test_lines_stand_beside_edge_and_cloud_alone(self) -> None:
        drawn = texts(draw([Panel("mmlu", lines=LINES, edge=0.5, cloud=0.9)], quality="mean quality"))
        assert {"prior", "length", "oracle", "edge only", "cloud only", "random line", "Pareto front"} <= set(drawn)
        assert {"mean quality", "answered by the cloud", "40%"} <= set(drawn)

    def test_a_front_needs_two_and_chance_needs_both_ends(self) -> None:
        drawn = texts(draw([Panel("", POINTS[:1], [LINES[0], LINES[2]], edge=0.5)]))
        assert "Pareto front" not in drawn
        assert "random line" not in drawn

    def test_a_band_is_an_area(self) -> None:
        areas = [draw([Panel("", lines=[line])]).count(b"FillBetween") for line in LINES[:2]]
        assert areas[0] > areas[1] == 0

    def test_dollar_signs_and_unknown_scripts_are_text(self) -> None:
        drawn = draw([Panel("成本 $x$", [Point("a $1$ b", 0, 1), Point("边缘", 1, 1)])], "png")
        assert drawn.startswith(b"\x89PNG")
        assert "a $1$ b" in texts(draw([Panel("", [Point("a $1$ b", 0, 1)])]))

    def test_more_series_than_colours_still_differ(self) -> None:
        lines = [Line(f"router {i}", GRID, [0.5, 0.5 + i / 100, 0.9]) for i in range(15)]
        points = [Point(f"case {i}", i / 20, 0.5) for i in range(15)]
        drawn = texts(draw([Panel("", points, lines)]))
        assert {*(line.label for line in lines), *(point.label for point in points)} <= set(drawn)

    def test_each_panel_is_drawn(self) -> None:
        drawn = texts(draw([Panel("wifi", POINTS), Panel("4g", POINTS)]))
        assert {"wifi", "4g"} <= set(drawn)
        assert drawn.count("tfidf (share=0.4)") == 2

    @pytest.mark.parametrize("panels", [[], [Panel("nothing")], [Panel("wifi", POINTS), Panel("nothing")]])
    def test_there_must_be_something_to_draw(self, panels: list[Panel]) -> None:
        with pytest.raises(ValueError, match="at least one panel, and each panel a point or a line"):
            draw(panels)


class TestPoints:
    def test_a_proportion_has_wilsons_interval(self) -> None:
        point = proportion("x", 3, 10, 0.4)
        assert (point.quality, point.low, point.high) == (0.3, *wilson(3, 10))

    def test_no_answers_no_proportion(self) -> None:
        with pytest.raises(ValueError, match="total > 0"):
            proportion("x", 0, 0, 0.4)

    SHARES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=12)

    @settings(deadline=None)
    @given(SHARES)
    def test_the_front_is_what_nothing_attainable_beats(self, values: list[tuple[int, int, bool]]) -> None:
        points = [Point(str(i), s / 5, q / 5, attainable=a) for i, (s, q, a) in enumerate(values)]
        front = pareto(points)
        rivals = [p for p in points if p.attainable]
        for point in points:
            beaten = not point.attainable or any(
                (r.share <= point.share and r.quality > point.quality)
                or (r.share < point.share and r.quality >= point.quality)
                for r in rivals
            )
            same = any(f.share == point.share and f.quality == point.quality for f in front)
            assert same != beaten or not point.attainable
            assert not (point in front and beaten)
        assert [p.share for p in front] == sorted({p.share for p in front})

    def test_the_envelope_is_the_best_line_so_far(self) -> None:
        crossing = Line("late", GRID, [0.6, 0.6, 0.7])
        assert envelope([*LINES, crossing]) == [0.6, 0.8, 0.9]
        assert envelope([Line("falls", GRID, [0.5, 0.9, 0.8])]) == [0.5, 0.9, 0.9]
        assert envelope([LINES[2]]) == []

    @settings(deadline=None)
    @given(st.lists(st.floats(0, 1), max_size=8))
    def test_points_of_about_the_same_share_stand_apart_and_near(self, shares: list[float]) -> None:
        points = [Point(str(i), share, 0.5) for i, share in enumerate(shares)]
        places = side_by_side(points)
        assert all(abs(place - share) <= APART * len(shares) / 2 for place, share in zip(places, shares, strict=True))

    def test_equal_shares_are_centred(self) -> None:
        points = [Point(str(i), share, 0.5) for i, share in enumerate([0.4, 0.0, 0.4, 0.4])]
        assert side_by_side(points) == pytest.approx([0.4 - APART, 0.0, 0.4, 0.4 + APART])
