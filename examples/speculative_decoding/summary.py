"""Prints the leaderboard by strategy and network, and whether the answers are those of the cloud alone.

With greedy decoding every answer has to be, letter for letter; if one is not, the exit status is 1. Sampled answers and
those of the edge alone are counted as well, and need not be. Figures other than latencies are of the middle network.
"""

import argparse
import csv
import sys
from pathlib import Path

from ianvs_collab.records import latest_records

SETTINGS = ("drafter", "mode", "protocol", "pipelining")
COLUMNS = {
    "Time to First Token": (1e3, 0, "TTFT, ms"),
    "Time per Output Token": (1e3, 1, "TPOT, ms"),
    "Throughput": (1, 0, "tokens/s"),
    "Acceptance Rate": (1, 1, "acceptance, %"),
    "Tokens per Round": (1, 2, "tokens a round"),
    "Bytes per Output Token": (1, 1, "bytes a token"),
    "Accuracy": (1, 1, "accuracy, %"),
}


def completions(row):
    """The answer to each query of a row."""
    records = latest_records(Path(row["url"]) / "records.jsonl")
    return {record.query_id: record.result[1]["completion"] for record in records}


def strategy(row):
    """What tells a row from others on the same network."""
    return ", ".join(
        [row["algorithm"], *(row[name] for name in (f"edgemodel-{one}" for one in SETTINGS) if row.get(name))]
    )


def network(row):
    """Round trip of a row's network, in milliseconds, which its file is named after."""
    return int(Path(row["edgemodel-deployment"]).stem.split("-")[1])


def shown(row, name, factor, digits):
    """A figure, or nothing where there is none."""
    return f"{factor * float(row[name]):.{digits}f}" if row and row.get(name) else ""


def exact(row):
    """Whether the answers of a row have to be those of the cloud alone."""
    return row["algorithm"] != "edge-only" and not row.get("edgemodel-temperature")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", type=Path, default=Path("workspace/speculative-decoding"))
    with (parser.parse_args().job / "rank" / "all_rank.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    reference = completions(next(row for row in rows if row["algorithm"] == "cloud-only"))
    networks = sorted({network(row) for row in rows})
    strategies, differing = {}, 0
    for row in rows:
        same = sum(text == reference.get(query) for query, text in completions(row).items())
        differing += exact(row) and same != len(reference)
        strategies.setdefault(strategy(row), {})[network(row)] = row | {"same": same}
    middle = networks[len(networks) // 2]
    print("| strategy |", " | ".join(f"{rtt} ms" for rtt in networks), end=" | ")
    print(" | ".join(title for *_, title in COLUMNS.values()), "| answers equal |")
    print("| --- " * (len(networks) + len(COLUMNS) + 2) + "|")
    for name, found in strategies.items():
        latencies = [shown(found.get(rtt), "End-to-End Latency", 1e3, 0) for rtt in networks]
        one = found.get(middle) or next(iter(found.values()))
        figures = [shown(one, column, factor, digits) for column, (factor, digits, _) in COLUMNS.items()]
        equal = min(row["same"] for row in found.values())
        print("|", " | ".join([name, *latencies, *figures, f"{equal} of {len(reference)}"]), "|")
    sys.exit(f"{differing} rows differ from the cloud alone" if differing else 0)


if __name__ == "__main__":
    main()
