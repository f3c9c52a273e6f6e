"""Serves a workload on real workers: open-loop arrivals, an orchestrator's decisions, latency from the schedule.

The workload is one that `simulate` takes too: arrivals and luck are drawn beforehand. A request's luck is its quantile
of how hard questions are, so the live run asks the question at that quantile. Both then serve the same requests at the
same times, and differ only in what really happens.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ianvs_collab.precision.live.fleet import Death, Fleet, Reply
from ianvs_collab.precision.live.outcome import LiveOutcome, Served
from ianvs_collab.precision.orchestrator import Decision, Orchestrator
from ianvs_collab.precision.policy import Policy
from ianvs_collab.precision.portfolio import Portfolio, PrecisionError
from ianvs_collab.precision.profile.questions import Item
from ianvs_collab.precision.requirements import Requirements
from ianvs_collab.precision.workload import Workload

_LEAD_S = 0.05  # between the start of the clock and the first arrival, so that it is not late


@dataclass(frozen=True)
class Rules:
    """How a run goes.

    Attributes:
        extractor: How the option is read from a completion.
        reroutes: How often a request may be sent anew after its worker died; 0 to let it fail at once.
        quantile: Which quantile of a pair's service times deadlines are judged by.
    """

    extractor: str = "option-text"
    reroutes: int = 1
    quantile: float = 0.95


def serve(
    fleet: Fleet,
    portfolio: Portfolio,
    policy: Policy,
    workload: Workload,
    *,
    items: Sequence[Item],
    rules: Rules | None = None,
) -> LiveOutcome:
    """Serve the first replication of a workload.

    Args:
        fleet: The workers; each pair of the portfolio must be loaded there.
        portfolio: What the policy chooses from.
        policy: What chooses; begun anew.
        workload: The requests, of one step and size 1.
        items: Questions from the easiest to the hardest; a request of luck u gets the one at quantile u.
        rules: How the run goes.

    Returns:
        What became of every request. One whose worker died is sent anew or has a reason why it failed.

    Raises:
        PrecisionError: If workload, portfolio, fleet and questions do not go together.
    """
    _check(fleet, portfolio, workload, items)
    rules = rules or Rules()
    run = _Run(fleet, Orchestrator(portfolio, policy, rules.quantile), workload, items=items, rules=rules)
    return run.play()


class _Run:
    """One run; a request's tag is its place."""

    def __init__(
        self, fleet: Fleet, orchestrator: Orchestrator, workload: Workload, *, items: Sequence[Item], rules: Rules
    ) -> None:
        self._fleet, self._orchestrator, self._rules, self._items = fleet, orchestrator, rules, items
        self._arrivals = [float(each) for each in workload.arrivals[0]]
        self._question = [int(luck * len(items)) for luck in workload.luck[0, :, 0]]
        self._wanted: list[Requirements] = [workload.requirements[each] for each in workload.classes[0]]
        self._served: list[Served | None] = [None] * len(self._arrivals)
        self._decisions: dict[int, Decision] = {}
        self._deaths: dict[str, str] = {}
        self._open = len(self._arrivals)
        self._start = 0.0

    def play(self) -> LiveOutcome:
        """Let requests arrive, and wait until all are answered or given up."""
        self._start = time.perf_counter() + _LEAD_S
        arrived = 0
        while self._open:
            while arrived < len(self._arrivals) and self._arrivals[arrived] <= self._now():
                self._decide(arrived)
                arrived += 1
            upcoming = self._arrivals[arrived] - self._now() if arrived < len(self._arrivals) else 1.0
            for event in self._fleet.poll(max(upcoming, 0.0)):
                self._bury(event) if isinstance(event, Death) else self._finish(event)
        return LiveOutcome([one for one in self._served if one is not None], self._deaths)

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _decide(self, place: int) -> None:
        """Choose a pair for a request, for the first time or anew."""
        before, now = self._served[place], self._now()
        found = self._orchestrator.decide(self._wanted[place])
        pair = found.pair if isinstance(found, Decision) else None
        reroutes = 0 if before is None else before.reroutes + 1
        self._served[place] = Served(self._arrivals[place], now, pair, reroutes=reroutes)
        if not isinstance(found, Decision):
            return self._give_up(place, found.reason)
        self._decisions[place] = found
        prompt = self._items[self._question[place]].messages
        death = self._fleet.submit(found.pair.device, found.pair.variant, prompt, place)
        if death is not None:
            self._bury(death)
        return None

    def _finish(self, reply: Reply) -> None:
        self._orchestrator.finished(self._decisions.pop(reply.tag))
        content = reply.content
        if "failed" in content:
            return self._give_up(reply.tag, str(content["failed"]))
        item = self._items[self._question[reply.tag]]
        return self._close(
            reply.tag,
            finished_s=reply.at - self._start,
            worked_s=content["worked_s"],
            busy_s=content["busy_s"],
            late=content["late"],
            right=item.letter(content["text"], self._rules.extractor) == item.answer,
        )

    def _bury(self, death: Death) -> None:
        """A device is gone: what it had is sent elsewhere, or has failed."""
        self._deaths[death.device] = death.reason
        self._orchestrator.lost(death.device)
        for place in death.tags:
            self._orchestrator.finished(self._decisions.pop(place))
            served = self._served[place]
            assert served is not None
            if served.reroutes < self._rules.reroutes:
                self._decide(place)
            else:
                self._give_up(place, death.reason)

    def _give_up(self, place: int, reason: str) -> None:
        self._close(place, reason=reason)

    def _close(self, place: int, **changes: object) -> None:
        served = self._served[place]
        assert served is not None
        self._served[place] = dataclasses.replace(served, **changes)  # type: ignore[arg-type]
        self._open -= 1


def _check(fleet: Fleet, portfolio: Portfolio, workload: Workload, items: Sequence[Item]) -> None:
    if not items:
        raise PrecisionError("a live run asks questions, and there is none")
    if workload.luck.shape[2] != 1 or (workload.sizes != 1).any():
        raise PrecisionError("a live run serves requests of one step and size 1; draw the workload without the others")
    for pair in portfolio.pairs:
        if pair.variant not in fleet.loaded.get(pair.device, {}):
            raise PrecisionError(f"{pair} is in the portfolio, but the fleet has not loaded it")
