"""Discrete-event simulation of many replications in lockstep.

Each round takes every replication to its own next event: a device finishes, or a request arrives. Clocks differ from
replication to replication, but the arithmetic is the same, so one numpy operation serves them all; that is what makes
it fast without a compiler, and also why a single replication alone is slow. Devices are first come, first served, so
the next event is the least of J heads of lines and one arrival, and there is no heap.

At each arrival: screen the pairs by the request's hard constraints, let the policy choose, draw the service time, join
the device's line. At each finish: the device's backlog loses the expected work of what it finished, and a request
with steps to come is decided on again at that moment. A finish precedes an arrival at the same instant, as in
Q(t+1) = max(Q(t) - mu(t), 0) + a(t).
"""

from __future__ import annotations

import numpy as np

from ianvs_collab.precision.arrays import Booleans, Floats, Integers
from ianvs_collab.precision.lines import Lines
from ianvs_collab.precision.outcome import Outcome
from ianvs_collab.precision.policy import Policy, View
from ianvs_collab.precision.portfolio import Portfolio
from ianvs_collab.precision.requirements import NOT_REACHED, Screen
from ianvs_collab.precision.tables import Tables
from ianvs_collab.precision.workload import Workload


def simulate(
    portfolio: Portfolio,
    policy: Policy,
    workload: Workload,
    quantile: float = 0.95,
    *,
    actual: Portfolio | None = None,
) -> Outcome:
    """Serve a workload.

    Args:
        portfolio: What there is to choose from, as the policy expects it to be.
        policy: What chooses; begun anew.
        workload: The requests.
        quantile: Which quantile of a pair's service times deadlines are judged by.
        actual: The same pairs with the service times that they really have, if the policy does not know them; whatever
            decides or accounts goes by `portfolio`.

    Returns:
        What became of every request.

    Raises:
        PrecisionError: If the policy and the portfolio, or the two portfolios, do not go together.
    """
    tables = Tables.of(portfolio, quantile)
    policy.begin(tables, len(workload.arrivals))
    run = _Run(tables if actual is None else tables.taking(actual), policy, _spread(workload))
    while run.advance():
        pass
    shape = workload.luck.shape
    return Outcome(
        tables, workload, run.choice.reshape(shape), run.finish.reshape(shape), run.backlog.reshape(shape), run.presence
    )


def _spread(workload: Workload) -> Workload:
    """The steps of a parallel workflow as requests of their own that arrive together."""
    replications, _, steps = workload.luck.shape
    if not workload.parallel or steps == 1:
        return workload
    return Workload(
        *(np.repeat(workload.arrivals, steps, axis=1), workload.luck.reshape(replications, -1, 1)),
        *(np.repeat(workload.sizes, steps, axis=1), np.repeat(workload.classes, steps, axis=1)),
        workload.requirements,
        pace=None if workload.pace is None else workload.pace.reshape(replications, -1, 1),
    )


class _Run:
    """The state of R replications with J devices; requests have n places and k sequential steps."""

    def __init__(self, tables: Tables, policy: Policy, work: Workload) -> None:
        replications, self._requests, self._steps = work.luck.shape
        self._tables, self._policy, self._devices = tables, policy, tables.devices
        self._arrivals, self._luck = work.arrivals.ravel(), work.luck.ravel()
        self._pace = np.ones(work.luck.size) if work.pace is None else work.pace.ravel()
        self._sizes, self._classes = work.sizes.ravel(), work.classes.ravel()
        self._screen = Screen(tables, work.requirements, policy.eligible)
        self._rows, self._clock = np.arange(replications), np.zeros(replications)
        self._stride = self._devices + 1  # the events of a row: each device's next finish, then the next arrival
        self._due = np.full(replications * self._stride, np.inf)
        self._base = self._rows * self._stride
        self._due[self._devices :: self._stride] = work.arrivals[:, 0]
        self._arrived, self._step = np.zeros_like(self._rows), np.zeros(work.arrivals.size, dtype=np.int64)
        self._lines = Lines(replications * self._devices)
        self._free_at, self._waiting = np.zeros(self._lines.length.size), np.zeros(self._lines.length.size)
        self.choice = np.full(work.luck.size, NOT_REACHED, dtype=np.int16)
        self.finish, self.backlog = np.full(work.luck.size, np.nan), np.full(work.luck.size, np.nan)
        self.presence = np.zeros(replications)

    def advance(self) -> bool:
        """Take every replication to its next event; tells whether there was one."""
        event = self._due.reshape(-1, self._stride).argmin(axis=1)
        now = self._due.take(self._base + event)
        live = now < np.inf
        if not live.any():
            return False
        self._pass(np.where(live, now, self._clock))
        finishing = (live & (event < self._devices)).nonzero()[0]
        arriving = (live & (event == self._devices)).nonzero()[0]
        again = self._finished(finishing, event[finishing])
        self._decide(np.concatenate([again, self._arrive(arriving)]))
        return True

    def _pass(self, now: Floats) -> None:
        present = self._lines.length.reshape(-1, self._devices).sum(axis=1)
        self.presence += present * (now - self._clock)
        self._clock = now

    def _arrive(self, rows: Integers) -> Integers:
        """Note that a request has arrived in each row; returns its place among all requests."""
        count = self._arrived[rows]
        places = rows * self._requests + count
        self._arrived[rows] = count + 1
        upcoming = self._arrivals.take(places + 1, mode="clip")
        self._due[self._base[rows] + self._devices] = np.where(count + 1 < self._requests, upcoming, np.inf)
        return np.asarray(places)

    def _finished(self, rows: Integers, devices: Integers) -> Integers:
        """Note that a device of each row has finished a request; returns the places of those with steps to come."""
        lines = rows * self._devices + devices
        work, places, following = self._lines.leave(lines)
        self._due[self._base[rows] + devices] = following
        left = np.maximum(self._waiting.take(lines) - work, 0)
        self._waiting[lines] = np.where(
            following < np.inf, left, 0
        )  # an empty line owes nothing, not what rounding left
        if self._steps == 1:
            return places[:0].copy()
        self._step[places] += 1
        again: Integers = places[self._step[places] < self._steps]
        return again

    def _decide(self, places: Integers) -> None:
        """Choose a pair for each request, at most one in a row, and put it in line there."""
        if not len(places):
            return
        rows, steps = places // self._requests, places * self._steps + self._step[places]
        backlog = self._waiting.reshape(-1, self._devices).take(rows, axis=0)
        self.backlog[steps] = backlog.sum(axis=1)
        sizes = self._sizes.take(places)
        allowed, refused = self._screen.check(self._classes.take(places), backlog, sizes)
        self.choice[steps] = refused
        served = refused == 0
        if not served.all():
            places, rows, steps, sizes = places[served], rows[served], steps[served], sizes[served]
            allowed, backlog = allowed[served], backlog[served]
        self._serve(places, rows, steps, View(allowed, backlog, self._unfinished(rows), sizes))

    def _unfinished(self, rows: Integers) -> Integers:
        found: Integers = self._lines.length.reshape(-1, self._devices).take(rows, axis=0)
        return found

    def _serve(self, places: Integers, rows: Integers, steps: Integers, view: View) -> None:
        pairs = self._policy.choose(rows, view)
        lines = rows * self._devices + self._tables.device[pairs]
        took = self._tables.service(pairs, self._luck.take(steps)) * view.sizes * self._pace.take(steps)
        finish = np.maximum(self._clock[rows], self._free_at[lines]) + took
        work = self._tables.work[pairs] * view.sizes
        idle: Booleans = self._lines.length[lines] == 0
        self._due[rows[idle] * self._stride + self._tables.device[pairs[idle]]] = finish[idle]
        self._lines.join(lines, finish, work, places)
        self._free_at[lines] = finish
        self._waiting[lines] += work
        self.choice[steps], self.finish[steps] = pairs, finish
