"""The cost-quality picture: how good the answers are over how many of them come from the cloud.

Points are single ways of routing (test cases of a job), lines are routers over all thresholds. Both stand against what
needs no router: edge only, cloud only, and sending queries to the cloud at random, which is the line between the two.
The same input gives the same bytes. Colours are Okabe and Ito's, told apart by colour-blind readers, and every series
has a marker and a dash pattern of its own, so that the picture can be read in grey.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ianvs_collab.statistics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
GREY = "#707070"
APART = 0.015  # of the share axis, about the width of a marker
SETTINGS: dict[Any, Any] = {"svg.hashsalt": "cost-quality", "svg.fonttype": "none", "font.size": 9}
NAMELESS = {"svg": {"Date": None}, "png": {"Software": None}}  # what else would differ from run to run


@dataclass(frozen=True)
class Point:
    """One way of routing.

    Attributes:
        label: Its name in the legend.
        share: Fraction of queries answered by the cloud.
        quality: Mean quality of the answers.
        low: Lower end of its confidence interval, or None.
        high: Upper end.
        attainable: Whether it could be had in practice; an oracle could not, and is no part of the Pareto front.
    """

    label: str
    share: float
    quality: float
    low: float | None = None
    high: float | None = None
    attainable: bool = True


@dataclass(frozen=True)
class Line:
    """A router over all its thresholds.

    Attributes:
        label: Its name in the legend.
        shares: Fractions of queries answered by the cloud, ascending, shape (k,).
        qualities: Mean quality at each, shape (k,).
        low: Lower end of the band, shape (k,), or None.
        high: Upper end.
        attainable: As for points.
    """

    label: str
    shares: Sequence[float]
    qualities: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    attainable: bool = True


@dataclass(frozen=True)
class Panel:
    """One coordinate system.

    Attributes:
        title: What was measured.
        points: Ways of routing.
        lines: Routers over all thresholds; on the same shares, if the front is to be drawn.
        edge: Quality of the edge alone, or None if unknown.
        cloud: Quality of the cloud alone.
    """

    title: str
    points: Sequence[Point] = ()
    lines: Sequence[Line] = ()
    edge: float | None = None
    cloud: float | None = None


def proportion(label: str, right: int, total: int, share: float, *, attainable: bool = True) -> Point:
    """A point whose quality is the share of right answers, with Wilson's 95 % interval.

    Raises:
        ValueError: If there are more right answers than answers, or none at all.
    """
    return Point(label, share, right / total if total else 0.0, *wilson(right, total), attainable=attainable)


def pareto(points: Sequence[Point]) -> list[Point]:
    """The attainable points that no other one beats with as small a cloud share or a smaller one, by share."""
    front: list[Point] = []
    for point in sorted((p for p in points if p.attainable), key=lambda p: (p.share, -p.quality)):
        if not front or point.quality > front[-1].quality:
            front.append(point)
    return front


def side_by_side(points: Sequence[Point]) -> list[float]:
    """Where to draw points along the share axis: those of about the same share beside one another, centred on it."""
    places = [point.share for point in points]
    order = sorted(range(len(points)), key=lambda index: points[index].share)
    groups: list[list[int]] = []
    for index in order:
        if groups and points[index].share - points[groups[-1][0]].share < APART:
            groups[-1].append(index)
        else:
            groups.append([index])
    for group in groups:
        for position, index in enumerate(sorted(group)):
            places[index] += APART * (position - (len(group) - 1) / 2)
    return places


def envelope(lines: Sequence[Line]) -> list[float]:
    """Best quality that an attainable line reaches up to each of the lines' common shares; empty if there is none."""
    best: list[float] = []
    for values in zip(*(line.qualities for line in lines if line.attainable), strict=True):
        best.append(max([*values, *best[-1:]]))
    return best


def draw(panels: Sequence[Panel], kind: Literal["svg", "png"] = "svg", *, quality: str = "accuracy") -> bytes:
    """Draw panels below one another.

    Args:
        panels: At least one.
        kind: Format of the picture.
        quality: What the vertical axis shows.

    Returns:
        The file's content; the same for the same input and version of matplotlib.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not panels or not all(panel.points or panel.lines for panel in panels):
        raise ValueError("a picture needs at least one panel, and each panel a point or a line")
    import matplotlib as mpl  # noqa: PLC0415 - half a second that runs without pictures do not pay
    from matplotlib.figure import Figure  # noqa: PLC0415

    content = io.BytesIO()
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # a label in a script that the font lacks is drawn as boxes, which is no reason to stop
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure = Figure(figsize=(8.5, 4.6 * len(panels)), layout="constrained")
        for place, panel in enumerate(panels, start=1):
            _draw_panel(figure.add_subplot(len(panels), 1, place), panel, quality)
        figure.savefig(content, format=kind, dpi=150, metadata=NAMELESS[kind])
    return content.getvalue()


def _draw_panel(axes: Axes, panel: Panel, quality: str) -> None:
    _draw_frame(axes, panel)
    for index, line in enumerate(panel.lines):
        _draw_line(axes, line, index)
    for index, (point, place) in enumerate(zip(panel.points, side_by_side(panel.points), strict=True)):
        _draw_point(axes, point, place, index)
    _draw_front(axes, panel)
    axes.set(
        xlabel="answered by the cloud", ylabel=quality, title=textwrap.fill(_text(panel.title), 70), xlim=(-0.03, 1.03)
    )
    axes.xaxis.set_major_formatter(_percent)
    axes.grid(alpha=0.3, linewidth=0.5)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False, handlelength=3)


def _draw_frame(axes: Axes, panel: Panel) -> None:
    """What needs no router: both ends, and chance between them."""
    if panel.edge is None or panel.cloud is None:
        return
    axes.plot([0, 1], [panel.edge, panel.cloud], color=GREY, linestyle=(0, (6, 3)), linewidth=1, label="random line")
    if not panel.points:  # test cases of edge only and cloud only are points already
        for share, height, marker, label in ((0, panel.edge, "s", "edge only"), (1, panel.cloud, "D", "cloud only")):
            axes.plot(share, height, marker, color=GREY, markersize=7, clip_on=False, zorder=5, label=label)


def _draw_line(axes: Axes, line: Line, index: int) -> None:
    colour = COLOURS[index % len(COLOURS)] if line.attainable else GREY
    style: dict[str, Any] = {"color": colour, "linestyle": DASHES[index % len(DASHES)]}
    if line.attainable:
        step = max(1, len(line.shares) // 6)  # a few markers, in other places for each line
        style |= {"marker": MARKERS[index % len(MARKERS)], "markersize": 5, "markevery": (5 * index % step, step)}
    else:
        style["linestyle"] = ":"
    axes.plot(line.shares, line.qualities, linewidth=1.5, label=_text(line.label), **style)
    if line.low is not None and line.high is not None:
        axes.fill_between(line.shares, line.low, line.high, color=colour, alpha=0.12, linewidth=0)


def _draw_point(axes: Axes, point: Point, place: float, index: int) -> None:
    low = point.quality if point.low is None else point.low
    high = point.quality if point.high is None else point.high
    axes.errorbar(
        place,
        point.quality,
        yerr=[[max(0.0, point.quality - low)], [max(0.0, high - point.quality)]],
        fmt=MARKERS[index % len(MARKERS)],
        color=COLOURS[index % len(COLOURS)] if point.attainable else GREY,
        fillstyle="full" if point.attainable else "none",
        markersize=7,
        elinewidth=1,
        capsize=3,
        label=_text(point.label),
        clip_on=False,
        zorder=4,
    )


def _draw_front(axes: Axes, panel: Panel) -> None:
    front = pareto(panel.points)
    if len(front) > 1:
        shares, heights = [p.share for p in front], [p.quality for p in front]
        axes.step(shares, heights, where="post", color="black", linewidth=1, alpha=0.6, label="Pareto front", zorder=1)
    best = envelope(panel.lines)
    if best and sum(line.attainable for line in panel.lines) > 1:
        shares = list(next(line.shares for line in panel.lines if line.attainable))
        axes.plot(shares, best, color="black", linewidth=5, alpha=0.15, label="Pareto front", zorder=1)


def _percent(value: float, _position: float) -> str:
    return f"{value:.0%}"


def _text(label: str) -> str:
    """The label as matplotlib draws it literally: between two dollar signs it would read a formula."""
    return label.replace("$", r"\$")
