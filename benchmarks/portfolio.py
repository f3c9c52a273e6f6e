"""What do the precisions of a nano model cost, and what are they worth? The portfolio an orchestrator chooses from.

Every variant is run on held-out questions in a process of its own, turn and turn about. Printed, as Markdown: accuracy
with its 95 % interval, service time, time to the first token and per output token, memory, peak resident memory, load
time, energy; and how the answers differ from the first variant's, question by question (exact McNemar test). `--out`
keeps the portfolio, which `benchmarks/orchestrator.py --portfolio FILE` takes.

Run it from the repository's root: `python benchmarks/portfolio.py [--questions 204] [--rounds 1] [--out FILE]`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import binomtest

from ianvs_collab.link import load_deployment
from ianvs_collab.precision import write_portfolio
from ianvs_collab.precision.profile import (
    Failure,
    Measured,
    Plan,
    build_portfolio,
    measure,
    prepare_variants,
    zoo_items,
)
from ianvs_collab.precision.profile.questions import items_sha256
from ianvs_collab.precision.profile.report import portfolio_table

VARIANTS = "float32,bfloat16,int8,int4,q8_0,q5_0,q4_0,pruned-8,pruned-9"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="zoo:cloud", help="default: zoo:cloud")
    parser.add_argument("--variants", default=VARIANTS, help=f"default: {VARIANTS}")
    parser.add_argument("--questions", type=int, default=204, help="held-out questions (default: 204)")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is asked (default: 1)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="cpu", help="default: cpu, for shared machines")
    parser.add_argument("--deployment", default="testenv/deployments/home-wifi.yaml", help="the devices")
    parser.add_argument("--out", type=Path, help="where to write the portfolio (default: nowhere)")
    options = parser.parse_args()
    items, plan = zoo_items(options.questions), Plan(rounds=options.rounds, clock=options.clock)
    names = options.variants.split(",")
    variants, left_out = prepare_variants(options.model, names, [item.prompt for item in zoo_items(51)], threads=1)
    found, failures = measure(variants, items, plan, lambda line: print(line, file=sys.stderr))
    portfolio = build_portfolio(
        found,
        [*(Failure(*each) for each in left_out.items()), *failures],
        load_deployment(options.deployment),
        plan,
        function=f"answer a nano question with {options.model}",
        data={"source": "zoo", "questions": len(items), "sha256": items_sha256(items)},
    )
    print(f"{options.model}, {len(items)} questions, clock {options.clock}, load average {os.getloadavg()[0]:.1f}\n")
    print(portfolio_table(portfolio))
    print_differences(found)
    if options.out:
        write_portfolio(portfolio, options.out)


def print_differences(found: Sequence[Measured]) -> None:
    """How each variant's answers differ from the first one's, question by question."""
    first = found[0]
    print(f"\n| against {first.variant.name} | questions won | questions lost | p (exact McNemar) |")
    print("| --- | --- | --- | --- |")
    for other in found[1:]:
        pairs = list(zip(first.right, other.right, strict=True))
        won, lost = pairs.count((False, True)), pairs.count((True, False))
        p = binomtest(won, won + lost).pvalue if won + lost else 1.0
        print(f"| {other.variant.name} | {won} | {lost} | {p:.2g} |")


if __name__ == "__main__":
    main()
