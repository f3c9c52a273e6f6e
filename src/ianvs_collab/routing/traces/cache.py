"""Ianvs's own answer caches: the `cache.json` that its example of LLM query routing writes beside its results.

The file is a list with one element a model configuration, `{"config": {"model": ..., ...}, "result": [...]}`; a result
is `{"query": prompt, "response": {"completion", "usage", "perf"}, "prediction", "gold"}`. One file may hold the edge
and the cloud model, or each has its own. The right answers come from the `data.jsonl` that was asked, and completions
are graded anew: the recorded `prediction` is the last capital letter from A to D, which is often not the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ianvs_collab.grading import ExtractorError, extract
from ianvs_collab.inference.dataset import choices_of
from ianvs_collab.link import wire
from ianvs_collab.metrics.predictions import gold_letters, number
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces.cachefile import Cache, chosen, read_cache
from ianvs_collab.routing.traces.file import check_rows
from ianvs_collab.routing.traces.jsonfiles import file_sha256, json_objects
from ianvs_collab.routing.traces.trace import Side, Trace, TraceRow

SYSTEM = "You are a helpful assistant."
"""The system message that Ianvs's example puts before every question."""


def read_caches(
    files: Sequence[str | Path],
    data: str | Path,
    *,
    edge: str | None = None,
    cloud: str | None = None,
    extractor: str = "option-text",
    partial: bool = False,
) -> Trace:
    """Make a trace of cached answers.

    Args:
        files: One `cache.json` that holds both models, or the edge's and the cloud's.
        data: The `data.jsonl` in Ianvs's form that was asked.
        edge: Name of the edge model in the cache; may be left out if each file holds one model.
        cloud: Name of the cloud model, likewise.
        extractor: How the chosen option is read from a completion.
        partial: Leave out questions that one of the two did not answer.

    Raises:
        RouterError: If a file is malformed, it is not clear which model is which, or answers are missing.
    """
    pair = chosen([cache for file in files for cache in read_cache(Path(file))], edge, cloud, len(files))
    rows, missing = [], []
    for index, (where, question) in enumerate(json_objects(Path(data))):
        prompt = _text(question, "prompt", where, "") + _text(question, "query", where)
        lacking = [f"{side} model {cache.model!r}" for side, cache in pair.items() if prompt not in cache.answers]
        if lacking:
            missing.append(f"{where}: no answer of the {lacking[0]} in the cache")
        else:
            rows.append(_row(pair, {"id": f"row-{index:05d}", **question}, prompt, extractor, where))
    if missing and not (partial and rows):
        count = f"{len(missing)} of {len(missing) + len(rows)} questions lack one"
        raise RouterError(f"{missing[0]}. {count}; --allow-partial leaves them out")
    check_rows(rows, data)
    provenance = {
        "source": "Ianvs cache",
        **{side: dict(cache.config) for side, cache in pair.items()},
        "extractor": extractor,
        "left_out": len(missing),
        "data_sha256": {str(file): file_sha256(Path(file)) for file in dict.fromkeys([*files, data])},
    }
    return Trace(rows, Path(data).resolve().parent.name, provenance)


def _row(pair: Mapping[str, Cache], question: Mapping[str, Any], prompt: str, extractor: str, where: str) -> TraceRow:
    try:
        gold = gold_letters([question.get("response")], 1)[0]
    except ValueError as error:
        raise RouterError(f"{where}: {error}") from error
    answered = {side: _side(cache, prompt, gold, extractor) for side, cache in pair.items()}
    return TraceRow(
        query_id=str(question["id"]),
        text=question["query"].strip(),
        subject=str(question.get("level_4_dim") or ""),
        language=str(question.get("level_3_dim") or ""),
        gold=gold,
        request_bytes=_request_bytes(prompt, pair["cloud"].model),
        **answered,
    )


def _side(cache: Cache, prompt: str, gold: str, extractor: str) -> Side:
    response = cache.answers[prompt]
    try:
        letter = extract(extractor, response["completion"], choices_of(prompt)).letter
    except ExtractorError as error:
        raise RouterError(str(error)) from error
    read, written = (number(response.get("usage"), f"{kind}_tokens") for kind in ("prompt", "completion"))
    first = number(response.get("perf"), "time_to_first_token") if cache.local else None
    gap = number(response.get("perf"), "internal_token_latency") if cache.local else None
    return Side(
        quality=float(letter == gold),
        completion=response["completion"],
        answer=letter,
        outcome="ok" if letter else "unparsed",
        prompt_tokens=None if read is None else int(read),
        completion_tokens=None if written is None else int(written),
        prefill_seconds=first,
        total_seconds=None if first is None or gap is None or not written else first + gap * (written - 1),
    )


def _request_bytes(prompt: str, model: str) -> int:
    """Size of the request that takes this prompt to the cloud, with the decoding that Ianvs's example defaults to."""
    params = SamplingParams(max_tokens=512, temperature=0.8, top_p=0.8)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]
    return len(wire.chat_request(messages, params, model))


def _text(question: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = question.get(key, default)
    if not isinstance(value, str):
        raise RouterError(f"{where}: {key!r} must be a text, not {value!r:.60}")
    return value
