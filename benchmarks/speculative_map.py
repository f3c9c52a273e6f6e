"""Which way of decoding is fastest, over round-trip time, acceptance, and the cost of drafting.

Greedy completions of 32 tokens on the virtual timeline with paced models (`speculative_paced.py`). The target is the
nano cloud model with its measured times. The drafter is the target itself, with times scaled by a ratio, whose
tokens are corrupted with a given probability: another token then stands first, and the right one second with the
probability `--second`. So texts, rejections and rollbacks are real, and acceptance and cost can
be chosen. Ways: streamed from the cloud; speculation at the cloud alone, with the same drafter there; synchronous,
asynchronous and branching speculation between edge and cloud, each with its best draft length of a grid. Edge-only
decoding is not lossless; the table says how fast it would be.

The table compares the paced times with the closed formulas of the documentation too. With `--picture FILE` the winners
are drawn. Run it from the repository's root: `python benchmarks/speculative_map.py --picture map.svg`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speculative_paced import Corrupted, Strategy, Suite, World, encode

from ianvs_collab.speculative import ModelDrafter

RTTS_MS = (5, 20, 50, 100, 200)
ALPHAS = (0.6, 0.8, 0.9, 0.95, 0.99)
RATIOS = (0.02, 0.1, 0.3)
LENGTHS = (1, 2, 4, 8)
WINDOW, TOKENS = 4, 32
WAYS = ("streamed", "at the cloud", "synchronous", "asynchronous", "branches")
COLOURS = ("#bdbdbd", "#7b6ba8", "#5aa469", "#e08a3c", "#c23b4e")


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=3, help="prompts a cell (default: 3)")
    parser.add_argument("--second", type=float, default=0.6, help="how often the right token is second (default: 0.6)")
    parser.add_argument("--picture", type=Path, nargs="*", default=[], help="files for the map: .svg, .png")
    arguments = parser.parse_args()
    world = World()
    print(world.describe())
    suite = Suite("nano prompts", encode(world.target, arguments.prompts), TOKENS, ())
    cells = []
    for ratio in RATIOS:
        print(f"\ndraft step {ratio:g} of a target step; mean ms of a query\n")
        print(
            "| α wanted, found | RTT, ms | " + " | ".join(WAYS) + " | edge-only | fastest | but for the cloud's own |"
        )
        print("| --- | --- |" + " --- |" * (len(WAYS) + 3))
        for alpha in ALPHAS:
            cells += row(world, suite, alpha, ratio, arguments.second)
    judge(cells)
    draw(cells, arguments.picture)


@dataclass(frozen=True)
class Cell:
    """One place of the map.

    Attributes:
        rtt: Milliseconds.
        alpha: Acceptance that was asked for.
        ratio: Draft step over target step.
        ms: Milliseconds of a query for each way.
        predicted: The same by the closed formulas, for those that have one.
    """

    rtt: float
    alpha: float
    ratio: float
    ms: dict[str, float]
    predicted: dict[str, float]

    def winner(self, ways: Sequence[str] = WAYS) -> str:
        """The fastest of some ways."""
        return min(ways, key=lambda way: self.ms[way])


def row(world: World, suite: Suite, alpha: float, ratio: float, second: float) -> list[Cell]:
    """Measure and print the cells of one acceptance and one cost."""
    costs = world.target.costs.scaled(ratio)
    model: Any = Corrupted(world.target.at_pace(costs), 1 - alpha, second)
    drafter = ModelDrafter(model, world.target.vocabulary)
    edge_ms = 1e3 * statistics.fmean(
        costs.prefill(len(prompt)) + (TOKENS - 1) * (costs.step(1) + world.overhead_s) for prompt in suite.prompts
    )

    def best(kind: str, rtt: float) -> tuple[float, float]:
        found = [world.run(suite, Strategy(kind, length, WINDOW), drafter, rtt) for length in LENGTHS]
        fastest = min(found, key=lambda outcome: outcome.mean_ms)
        return fastest.mean_ms, fastest.tally.acceptance or 0.0

    here, found_alpha = best("synchronous", 0)
    cells = []
    for rtt in RTTS_MS:
        ms = {"streamed": world.run(suite, Strategy("streamed"), drafter, rtt).mean_ms, "at the cloud": here + rtt}
        ms |= {kind: best(kind, rtt)[0] for kind in ("synchronous", "asynchronous", "branches")}
        cells.append(Cell(rtt, alpha, ratio, ms, formulas(world, suite, found_alpha, ratio, rtt)))
        apart = cells[-1].winner([way for way in WAYS if way != "at the cloud"])
        times = " | ".join(f"{ms[way]:.0f}" for way in WAYS)
        print(
            f"| {alpha:g}, {found_alpha:.3f} | {rtt:g} | {times} | {edge_ms:.0f} | {cells[-1].winner()} | {apart} |",
            flush=True,
        )
    return cells


def formulas(world: World, suite: Suite, alpha: float, ratio: float, rtt_ms: float) -> dict[str, float]:
    """Milliseconds of a query by the closed formulas, with the best draft length, reading the prompt added."""
    costs, rtt = world.target.costs, rtt_ms / 1e3
    step_s = costs.step(1) + world.overhead_s
    draft_s = ratio * costs.step(1) + world.overhead_s
    read_s = statistics.fmean(costs.prefill(len(prompt)) for prompt in suite.prompts)
    waiting, ahead = [], []
    for length in LENGTHS:
        committed = sum(alpha**place for place in range(length + 1))
        verify_s = costs.step(length + 1) + world.overhead_s
        waiting.append((length * draft_s + rtt + verify_s) / committed)
        wait_s = rtt + verify_s + length * draft_s / 2
        ahead.append(max(draft_s, verify_s / length) + (1 - alpha) * wait_s)
    return {
        "streamed": 1e3 * (read_s + rtt + (TOKENS - 1) * step_s),
        "synchronous": 1e3 * (read_s + TOKENS * min(waiting)),
        "asynchronous": 1e3 * (read_s + rtt + TOKENS * min(ahead)),
    }


def judge(cells: Sequence[Cell]) -> None:
    """Prints how often each way wins, and how near the closed formulas are."""
    for label, ways in (("all ways", WAYS), ("without speculation at the cloud", ("streamed", *WAYS[2:]))):
        wins = [cell.winner(ways) for cell in cells]
        print(f"\n{label}: " + ", ".join(f"{way} wins {wins.count(way)}" for way in ways) + f" of {len(cells)} cells")
    ways = ("streamed", "synchronous", "asynchronous")
    for way in ways:
        ratios = sorted(cell.predicted[way] / cell.ms[way] for cell in cells)
        low, middle, high = (ratios[round(share * (len(ratios) - 1))] for share in (0.1, 0.5, 0.9))
        print(f"{way}: formula / paced, median {middle:.3f}, 10 to 90 % {low:.3f} to {high:.3f}")
    same = [min(ways, key=lambda way: cell.predicted[way]) == cell.winner(ways) for cell in cells]  # noqa: B023
    print(f"the formulas name the fastest of these three in {sum(same)} of {len(cells)} cells")


def draw(cells: Sequence[Cell], files: Sequence[Path]) -> None:
    """Write the map: a panel for each cost, above with and below without speculation at the cloud."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    with mpl.rc_context({"svg.hashsalt": "speculative", "font.size": 8}):
        figure = Figure(figsize=(9, 5.4), layout="constrained")
        rows = (("all ways", WAYS), ("drafter not at the cloud", ("streamed", *WAYS[2:])))
        panels = figure.subplots(len(rows), len(RATIOS), sharex=True, sharey=True)
        for line, (label, ways) in zip(panels, rows, strict=True):
            for axes, ratio in zip(line, RATIOS, strict=True):
                of = {(cell.alpha, cell.rtt): cell for cell in cells if cell.ratio == ratio}
                grid = [[WAYS.index(of[alpha, rtt].winner(ways)) for rtt in RTTS_MS] for alpha in ALPHAS]
                axes.imshow(
                    grid, cmap=ListedColormap(COLOURS), vmin=-0.5, vmax=len(WAYS) - 0.5, origin="lower", aspect="auto"
                )
                for y, alpha in enumerate(ALPHAS):
                    for x, rtt in enumerate(RTTS_MS):
                        ms = of[alpha, rtt].ms
                        gain = ms["streamed"] / min(ms[way] for way in ways)
                        axes.text(x, y, f"{gain:.1f}", ha="center", va="center", fontsize=7)
                axes.set_xticks(range(len(RTTS_MS)), [f"{rtt:g}" for rtt in RTTS_MS])
                axes.set_yticks(range(len(ALPHAS)), [f"{alpha:g}" for alpha in ALPHAS])
                axes.set_title(f"draft step {ratio:g} of a target step; {label}", fontsize=7)
        for axes in panels[-1]:
            axes.set_xlabel("round-trip time, ms")
        for line in panels:
            line[0].set_ylabel("acceptance")
        figure.suptitle("Fastest way to decode, and how many times as fast as streaming it is", fontsize=9)
        patches = [Patch(color=colour, label=way) for colour, way in zip(COLOURS, WAYS, strict=True)]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(WAYS), frameon=False)
        for file in files:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)


if __name__ == "__main__":
    main()
