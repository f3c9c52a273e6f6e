"""MixInstruct: free-text instructions with the answers of a dozen models, each with automatic scores.

As published with LLM-Blender (Jiang et al., ACL 2023): a JSON Lines file (or a JSON list) whose objects have `id`,
`instruction`, `input`, `output` (the reference) and `candidates`, each with `model`, `decoding_method`, `text` and
`scores` by name. Two of the models become the edge and the cloud. There are no options, no letters and no times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.file import check_rows
from ianvs_collab.routing.traces.jsonfiles import file_sha256, json_objects
from ianvs_collab.routing.traces.trace import Floats, Side, Trace, TraceRow

Grade = Callable[[Sequence[str], Sequence[str]], Sequence[float] | Floats]
"""Takes completions and the reference of each, and gives qualities, higher being better."""


def read_mixinstruct(
    file: str | Path,
    *,
    edge: str,
    cloud: str,
    score: str | None = None,
    grade: Grade | None = None,
    partial: bool = False,
) -> Trace:
    """Make a trace of two models' recorded answers.

    Args:
        file: The file, `.jsonl` or `.json`.
        edge: The edge model's name; `model@decoding_method` where a model answered more than once.
        cloud: The cloud model's name, likewise.
        score: Recorded score that is the quality, e.g. `bartscore` or `bleurt`.
        grade: Function that grades the answers instead.
        partial: Leave out queries that one of the two did not answer.

    Raises:
        RouterError: If the file is malformed, a model or score is not there, or not exactly one of `score` and `grade`
            is given.
    """
    if (score is None) == (grade is None):
        raise RouterError("the quality comes from a recorded score or from a function that grades: give one of the two")
    path = Path(file)
    rows, missing = [], []
    for where, item in json_objects(path):
        here, there = (_candidate(item, model, where) for model in (edge, cloud))
        if here is None or there is None:
            lacking = edge if here is None else cloud
            missing.append(f"{where}: no answer of {lacking!r}; there are {', '.join(_names(item))}")
        else:
            rows.append(_row(item, _side(here, score, where), _side(there, score, where), where))
    if missing and not (partial and rows):
        count = f"{len(missing)} of {len(missing) + len(rows)} queries lack one"
        raise RouterError(f"{missing[0]}. {count}; --allow-partial leaves them out")
    check_rows(rows, path)
    provenance = {
        "source": "MixInstruct",
        "edge": {"model": edge},
        "cloud": {"model": cloud},
        "quality": score or getattr(grade, "__name__", type(grade).__name__),
        "left_out": len(missing),
        "data_sha256": {path.name: file_sha256(path)},
    }
    return Trace(rows if grade is None else _graded(rows, grade), path.stem, provenance)


def _candidate(item: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any] | None:
    model, _, method = name.partition("@")
    candidates = item.get("candidates")
    if not isinstance(candidates, list) or not all(isinstance(one, dict) for one in candidates):
        raise RouterError(f"{where}: `candidates` must be a list of objects")
    chosen = [one for one in candidates if one.get("model") == model and method in ("", one.get("decoding_method"))]
    if len(chosen) > 1:
        methods = ", ".join(f"{model}@{one.get('decoding_method')}" for one in chosen)
        raise RouterError(f"{where}: {name!r} answered {len(chosen)} times; choose one of {methods}")
    return chosen[0] if chosen else None


def _names(item: Mapping[str, Any]) -> list[str]:
    return sorted({str(one.get("model")) for one in item["candidates"]})


def _row(item: Mapping[str, Any], edge: Side, cloud: Side, where: str) -> TraceRow:
    text = "\n".join(filter(None, (_text(item, "instruction", where), _text(item, "input", where))))
    name = str(item.get("id") or where)
    reference = item.get("output")
    if isinstance(reference, list):
        reference = reference[0] if reference else None
    subject = name.rpartition("/")[0]  # ids begin with the data set that an instruction is from
    return TraceRow(name, text, edge, cloud, subject=subject, gold=None if reference is None else str(reference))


def _text(item: Mapping[str, Any], key: str, where: str) -> str:
    value = item.get(key, "")
    if not isinstance(value, str):
        raise RouterError(f"{where}: {key!r} must be a text, not {value!r:.60}")
    return value.strip()


def _side(candidate: Mapping[str, Any], score: str | None, where: str) -> Side:
    model, scores = candidate["model"], candidate.get("scores")
    text = _text(candidate, "text", where)
    if score is None:
        return Side(0.0, text)
    value = scores.get(score) if isinstance(scores, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        known = ", ".join(sorted(scores)) if isinstance(scores, dict) else "none"
        raise RouterError(f"{where}: the answer of {model!r} has no score {score!r}; its scores are {known}")
    return Side(float(value), text)


def _graded(rows: Sequence[TraceRow], grade: Grade) -> list[TraceRow]:
    references = [row.gold for row in rows]
    if None in references:
        name = rows[references.index(None)].query_id
        raise RouterError(f"query {name!r} has no reference (`output`) to grade answers by")
    told = [reference or "" for reference in references]
    sides: dict[str, list[Side]] = {}
    for where in ("edge", "cloud"):
        given = [getattr(row, where) for row in rows]
        qualities = [float(value) for value in grade([side.completion for side in given], told)]
        if len(qualities) != len(rows) or not all(map(math.isfinite, qualities)):
            raise RouterError(f"the function that grades must give a finite number for each of the {len(rows)} answers")
        sides[where] = [replace(side, quality=value) for side, value in zip(given, qualities, strict=True)]
    return [replace(row, edge=e, cloud=c) for row, e, c in zip(rows, sides["edge"], sides["cloud"], strict=True)]
