"""The log of a run: its records, where `LifelongRouter` left each decision with its propensity."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ianvs_collab.records import read_records
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.online.feedback import NEVER_SHOWN
from ianvs_collab.routing.online.offpolicy import RouteLog


def read_routes(path: str | Path) -> tuple[list[str], RouteLog]:
    """Read the routes of a run.

    Args:
        path: The `records.jsonl` of a test case.

    Returns:
        Ids of the queries that were answered, and their routes; the reward is 1 for a right answer and 0 otherwise.

    Raises:
        RouterError: If no record holds a route.
        RecordError: If the file cannot be read.
    """
    ids, rows = [], []
    for record in read_records(path):
        answer = record.result[1]
        if record.outcome in NEVER_SHOWN or "routing" not in answer:
            continue
        route = answer["routing"]
        ids.append(str(record.query_id))
        rows.append((route["action"], route["propensity"], float(answer.get("answer") == record.gold)))
    if not rows:
        raise RouterError(f"{path} holds no route with a propensity; LifelongRouter writes them")
    actions, propensities, rewards = map(np.array, zip(*rows, strict=True))
    return ids, RouteLog(actions, propensities, rewards)
