"""Prints how accuracy went along the stream, and what the log of one router says about another.

The log of Thompson sampling holds the probability of each decision. So it can tell how good the frozen twin would have
been without running it. Here it was run as well, and the truth stands beside the estimates.
"""

import argparse
import csv
from pathlib import Path

from ianvs_collab.routing.online.offpolicy import ips, snips
from ianvs_collab.routing.online.prequential import windowed
from ianvs_collab.routing.online.routelog import read_routes


def read_logs(job):
    """Routes of the job's lifelong routers and of the frozen twin, by name."""
    with (job / "rank" / "all_rank.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["hard_example_mining"] == "LifelongRouter"]
    logs = {}
    for row in rows:
        name = "frozen twin" if row["hard_example_mining-learns"] == "False" else row["hard_example_mining-policy"]
        _, logs[name] = read_routes(Path(row["url"]) / "records.jsonl")
    return logs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", type=Path, default=Path("workspace/lifelong-routing"))
    parser.add_argument("--window", type=int, default=336)
    options = parser.parse_args()
    logs = read_logs(options.job)
    print(f"accuracy in windows of {options.window} queries")
    for name, log in logs.items():
        curve = " ".join(f"{value:6.3f}" for value in windowed(log.rewards, options.window))
        print(f"  {name:16}{curve}   cloud share {log.actions.mean():.3f}")
    asked, logged = logs["frozen twin"], logs["thompson"]
    print(f"the frozen twin's accuracy is {asked.rewards.mean():.3f}; from the log of Thompson sampling:")
    for estimator in (ips, snips):
        found = estimator(logged, asked.actions)
        print(f"  {estimator.__name__:6} {found.value:.3f}, 95 % interval {found.low:.3f} to {found.high:.3f}")


if __name__ == "__main__":
    main()
