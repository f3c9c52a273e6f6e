"""Routing that keeps personal data at home: a query that holds some stays at the edge, or goes without it.

The router wraps any other one and can be used with each of three modes, which make a comparison:

* `watch`: decide as the other router does, and only count what is sent.
* `keep`: what holds personal data stays at the edge; the other router decides the rest.
* `redact`: what the other router sends goes with placeholders in place of personal data, which are put back into the
  cloud's answer before anybody reads or grades it.

Counting is done by all rules, also where fewer kinds are acted upon, and on the texts that crossed the link.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Literal, get_args

import numpy as np

from ianvs_collab.inference import Answer, Query
from ianvs_collab.privacy import AllDetectors, Detector, Guard, make_detector, redact
from ianvs_collab.routing.base import Router, RouterError

Mode = Literal["watch", "keep", "redact"]


class PrivateRouter(Router):
    """Guards what another router sends to the cloud.

    Args:
        router: The other router, or its name in `ianvs_collab.routing`.
        mode: `watch`, `keep` or `redact`.
        detector: `rules`, or `presidio` for the rules and Microsoft Presidio.
        kinds: Kinds of personal data that `keep` and `redact` act upon; None for all that the rules know.
        names: File of names to look for, one a line, besides the built-in ones.
        language: Presidio's.
        **settings: The other router's, if it is given by name.

    Raises:
        RouterError: If there is no such router or mode.
        PrivacyError: If the detector cannot be made.
    """

    def __init__(
        self,
        router: str | Router = "ConfidenceRouter",
        mode: Mode = "keep",
        *,
        detector: str = "rules",
        kinds: Sequence[str] | None = None,
        names: str | None = None,
        language: str = "en",
        **settings: Any,
    ) -> None:
        if mode not in get_args(Mode):
            raise RouterError(f"PrivateRouter: mode must be 'watch', 'keep' or 'redact', not {mode!r}")
        self.router = _named(router, settings) if isinstance(router, str) else router
        super().__init__(self.router.threshold)
        self.mode = mode
        self.detector = make_detector(detector, kinds=kinds, names=names, language=language)
        complete = kinds is None
        self.auditor: Detector = self.detector if complete else AllDetectors([make_detector(), self.detector])

    def __call__(self, data: Any) -> bool:
        """Search the query, decide, and change what is sent if that has to be."""
        given = data if isinstance(data, Query | Answer) else Query.of(data)
        query = Query.of(given)
        started = time.perf_counter()
        texts = _texts(query)
        query.guard = Guard.of(texts, self.auditor)
        kept = self.mode == "keep" and self._holds(texts)
        query.timeline.compute("edge", time.perf_counter() - started, "privacy")
        hard = not kept and self.router(given)
        if hard and self.mode == "redact":
            started = time.perf_counter()
            query.guard = _redact(query, texts, query.guard, self.detector)
            query.timeline.compute("edge", time.perf_counter() - started, "privacy")
        if not hard and isinstance(given, Answer):
            _note(given, query.guard)
        return hard

    def score(self, data: Query | Answer) -> float:
        """The other router's score; −inf for what is kept at the edge."""
        return float(self.scores([data])[0])

    def scores(self, batch: Sequence[Query | Answer]) -> np.ndarray:
        """The other router's scores, shape (len(batch),); −inf for what is kept at the edge."""
        scores = np.array(self.router.scores(batch), dtype=float)
        if self.mode == "keep":
            scores[[self._holds(_texts(Query.of(data))) for data in batch]] = -np.inf
        return scores

    def _holds(self, texts: Sequence[str]) -> bool:
        return any(self.detector.find(text) for text in texts)


def _named(name: str, settings: dict[str, Any]) -> Router:
    routers = import_module("ianvs_collab.routing")
    kind = getattr(routers, name) if name in routers.__all__ else None
    if not (isinstance(kind, type) and issubclass(kind, Router)) or issubclass(kind, PrivateRouter):
        raise RouterError(
            f"PrivateRouter: there is no router {name!r} to be wrapped; name one such as 'ConfidenceRouter'"
        )
    try:
        made: Router = kind(**settings)
    except TypeError as error:
        raise RouterError(f"PrivateRouter: {name} cannot be made: {error}") from error
    return made


def _texts(query: Query) -> list[str]:
    """The different texts of a query that a cloud model may be sent."""
    messages = query.get("messages") or []
    return list(dict.fromkeys([str(query["query"]), *(str(message["content"]) for message in messages)]))


def _redact(query: Query, texts: Sequence[str], guard: Guard, detector: Detector) -> Guard:
    """Take personal data out of a query; every plug-in that is handed it from now on sees placeholders."""
    redaction = redact(texts, detector)
    clean = dict(zip(texts, redaction.texts, strict=True))
    query["query"] = clean[str(query["query"])]
    if query.get("messages"):
        query["messages"] = [{**message, "content": clean[str(message["content"])]} for message in query["messages"]]
    return Guard(guard.values, redaction)


def _note(answer: Answer, guard: Guard) -> None:
    """Nothing of a kept query was sent: say so in its answer and in the record of the edge's."""
    _, original = answer.query.latest or (None, answer)
    for record in (original, answer):
        record["pii"] = guard.report(())
