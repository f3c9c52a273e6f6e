"""Real tokens at measured speed: a model whose steps take the times of a table, on a clock of their own.

Times measured on a machine that does other work too vary by a tenth or more from run to run, which is more than what
separates two good strategies. So the times of a model are measured once, over many steps (`measure_costs`), and then
every strategy is charged by the same table. All else is real: a `PacedStepper` runs the model, so the tokens are its
own, and so are acceptances and rollbacks. A text that was computed before is remembered and not computed again, which
changes no token and no charge.

    clock = PacedClock(overhead_s=1e-4)
    target = PacedStepper(stepper, measure_costs(stepper, text), clock)
    decoder = SpeculativeDecoder(target, drafter, clock=clock)

With a `WaitingClock` a step takes its time from the table for real, by waiting. So edge and cloud can be played on one
machine, each as fast as if it had that machine to itself.

Sessions of paced models belong to one thread.
"""

from __future__ import annotations

import statistics
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import torch

from ianvs_collab.modelserver.stepping import Ledger, LedgerSession, Session, StepError, Stepper
from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.verification.base import common_prefix

COUNTS = (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257)
"""Tokens of the steps that `measure_costs` times."""

_BEFORE = 64
"""Tokens that stand before a timed step where there is room."""


_OVERSLEPT = 3e-4
"""Seconds by which a sleep may last longer than asked for; so many before its end, waiting is done awake."""


class PacedClock:
    """Shows the seconds that paced models were charged.

    Args:
        overhead_s: What an operation takes beside the models, such as packing a message. Each reading of the clock
            adds it, and an operation is timed by two readings, of which the second falls into its time.
    """

    def __init__(self, overhead_s: float = 0.0) -> None:
        self.now, self._overhead_s = 0.0, overhead_s

    def __call__(self) -> float:
        """Seconds since the clock was made."""
        self.now += self._overhead_s
        return self.now

    @contextmanager
    def charge(self, seconds: float) -> Iterator[None]:
        """Context of an operation that takes so long; one that fails takes no time."""
        yield
        self.now += seconds


class WaitingClock:
    """This machine's clock: operations of paced models are waited for, whatever part of that they compute.

    Attributes:
        late_s: Seconds by which operations took longer than their tables say, because computing did.
    """

    def __init__(self) -> None:
        self.late_s = 0.0

    def __call__(self) -> float:
        """Seconds since some time or other; see `time.perf_counter`."""
        return time.perf_counter()

    @contextmanager
    def charge(self, seconds: float) -> Iterator[None]:
        """Context of an operation that takes so long; one that fails takes as long as it takes."""
        end = time.perf_counter() + seconds
        yield
        left = end - time.perf_counter()
        self.late_s += max(0.0, -left)
        if left > _OVERSLEPT:
            time.sleep(left - _OVERSLEPT)
        while time.perf_counter() < end:
            pass


@dataclass(frozen=True)
class Costs:
    """Seconds that a model takes to append tokens in one forward pass.

    Attributes:
        counts: Numbers of tokens, rising from 1, at least two.
        step_s: Seconds for each number, with the logits of all of them.
        prefill_s: Seconds for each number, with the logits of the last alone.
    """

    counts: tuple[int, ...]
    step_s: tuple[float, ...]
    prefill_s: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a table that cannot be read.

        Raises:
            SpeculativeError: If the counts do not rise from 1, or the columns differ in length.
        """
        rising = all(a < b for a, b in zip(self.counts, self.counts[1:], strict=False))
        if not self.counts[1:] or self.counts[0] != 1 or not rising:
            raise SpeculativeError(f"counts of a cost table rise from 1, like (1, 4, 16), not {self.counts!r}")
        if not len(self.counts) == len(self.step_s) == len(self.prefill_s):
            raise SpeculativeError("a cost table needs a time of a step and one of a prefill for each count")

    @classmethod
    def constant(cls, seconds: float) -> Self:
        """A model whose forward passes all take the same time."""
        return cls((1, 2), (seconds, seconds), (seconds, seconds))

    def step(self, count: int) -> float:
        """Seconds of a step of `count` tokens, linear between the table's entries and beyond the last."""
        return self._at(self.step_s, count)

    def prefill(self, count: int) -> float:
        """Seconds of a prefill of `count` tokens."""
        return self._at(self.prefill_s, count)

    def scaled(self, factor: float) -> Costs:
        """The same model on a device whose steps take `factor` times as long."""
        return replace(
            self,
            step_s=tuple(factor * value for value in self.step_s),
            prefill_s=tuple(factor * value for value in self.prefill_s),
        )

    def _at(self, column: Sequence[float], count: int) -> float:
        right = min(max(1, bisect_left(self.counts, count)), len(self.counts) - 1)
        low, high = self.counts[right - 1], self.counts[right]
        share = (count - low) / (high - low)
        return max(0.0, column[right - 1] + share * (column[right] - column[right - 1]))


def measure_costs(
    stepper: Stepper,
    text: Sequence[int],
    *,
    counts: Sequence[int] = COUNTS,
    repeats: int = 31,
    clock: Callable[[], float] = time.perf_counter,
) -> Costs:
    """Time a model's forward passes: the first quartile of each number of tokens.

    The numbers take turns, so that a slow spell of the machine falls on all of them; and as a spell only ever adds, the
    faster steps say more.

    Args:
        stepper: The model.
        text: Tokens to feed, again and again; not empty.
        counts: Numbers of tokens; those beyond the context are left out.
        repeats: Measurements of each.
        clock: What measures, in seconds; `time.process_time` on a machine that does other work too.

    Raises:
        StepError: If the model cannot take the text.
        SpeculativeError: If `repeats` is less than 2.
    """
    if repeats <= 1:
        raise SpeculativeError(f"a quartile needs at least 2 repeats, not {repeats!r}")
    fitting = tuple(count for count in counts if stepper.context is None or count <= stepper.context)
    samples: dict[tuple[int, bool], list[float]] = {(count, whole): [] for count in fitting for whole in (True, False)}
    tokens = [text[index % len(text)] for index in range(max(fitting) + _BEFORE)]
    for _ in range(repeats):
        for (count, whole), seconds in samples.items():
            before = _BEFORE if stepper.context is None else min(_BEFORE, stepper.context - count)
            with stepper.open() as session:
                if before:
                    session.prefill(tokens[:before])
                start = clock()
                (session.step if whole else session.prefill)(tokens[before : before + count])
                seconds.append(clock() - start)
    columns = (
        tuple(statistics.quantiles(samples[count, whole], n=4, method="inclusive")[0] for count in fitting)
        for whole in (True, False)
    )
    return Costs(fitting, *columns)


class PacedStepper:
    """A model that charges its steps to a clock by a table; see `Stepper`.

    Args:
        stepper: The model that makes the logits.
        costs: What its steps take.
        clock: What they are charged to.
    """

    def __init__(self, stepper: Stepper, costs: Costs, clock: PacedClock | WaitingClock) -> None:
        self.costs, self.clock = costs, clock
        self._stepper, self._memory = stepper, _Memory()

    @property
    def vocabulary(self) -> int:
        """Number of token ids that the model takes."""
        return self._stepper.vocabulary

    @property
    def context(self) -> int | None:
        """Tokens that a session may hold, or None if the model does not say."""
        return self._stepper.context

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self._stepper.layers

    @property
    def end_tokens(self) -> frozenset[int]:
        """Tokens that end a completion."""
        return self._stepper.end_tokens

    def encode(self, prompt: Prompt) -> list[int]:
        """Tokens of a prompt; see `Stepper.encode`."""
        return self._stepper.encode(prompt)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens; see `Stepper.decode`."""
        return self._stepper.decode(tokens)

    def open(self, *, hidden: bool = False) -> Session:
        """Begin an empty session.

        Raises:
            StepError: If hidden states are asked for: of a remembered text there are none.
        """
        if hidden:
            raise StepError("a paced model remembers logits, not hidden states; open the model itself for those")
        ledger = Ledger("paced", self.vocabulary, self.context)
        return PacedSession(self._stepper, self.costs, self.clock, self._memory, ledger)

    def at_pace(self, costs: Costs) -> PacedStepper:
        """The same model, with all that it remembers, at another speed."""
        other = PacedStepper(self._stepper, costs, self.clock)
        other._memory = self._memory
        return other


class _Memory:
    """Logits of every text that was computed: a tree in which each token leads to a node."""

    def __init__(self) -> None:
        self.rows: dict[int, torch.Tensor] = {}
        self._nodes: dict[tuple[int, int], int] = {}

    def walk(self, node: int, tokens: Sequence[int]) -> list[int]:
        """The nodes that tokens lead to from a node; 0 is the empty text."""
        found = []
        for token in tokens:
            node = self._nodes.setdefault((node, token), len(self._nodes) + 1)
            found.append(node)
        return found


class PacedSession(LedgerSession):
    """One text of a paced model; a session of the model itself is opened where a text is new."""

    def __init__(
        self,
        stepper: Stepper,
        costs: Costs,
        clock: PacedClock | WaitingClock,
        memory: _Memory,
        ledger: Ledger,
    ) -> None:
        super().__init__(ledger)
        self._stepper, self._costs, self._clock, self._memory = stepper, costs, clock, memory
        self._nodes: list[int] = []
        self._real: Session | None = None

    def prefill(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens; see `Session.prefill`."""
        with self._clock.charge(self._costs.prefill(len(tokens))):
            return self._append(tokens, 1)[0]

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append tokens; see `Session.step`."""
        with self._clock.charge(self._costs.step(len(tokens))):
            return self._append(tokens, len(tokens))

    def rollback(self, count: int) -> None:
        """Forget the last tokens; see `Session.rollback`."""
        self._ledger.drop(count)
        del self._nodes[len(self._nodes) - count :]

    def fork(self) -> Self:
        """An independent copy; see `Session.fork`."""
        other = type(self)(self._stepper, self._costs, self._clock, self._memory, self._ledger.copy())
        other._nodes = self._nodes.copy()
        other._real = self._real.fork() if self._real is not None else None
        return other

    def hidden(self, layer: int) -> torch.Tensor:
        """There are none.

        Raises:
            StepError: Always.
        """
        raise StepError("a paced model remembers logits, not hidden states; open the model itself for those")

    def close(self) -> None:
        """Release the cache; see `Session.close`."""
        self._ledger.close()
        if self._real is not None:
            self._real.close()
            self._real = None

    def _append(self, tokens: Sequence[int], keep: int) -> torch.Tensor:
        self._ledger.check(tokens)
        nodes = self._memory.walk(self._nodes[-1] if self._nodes else 0, tokens)
        kept = nodes[len(nodes) - keep :]
        if any(node not in self._memory.rows for node in kept):
            # Copies: a row of a large tensor would keep all of it alive.
            rows = self._compute(tokens, keep)
            self._memory.rows.update((node, row.clone()) for node, row in zip(kept, rows, strict=True))
        self._ledger.append(tokens)
        self._nodes += nodes
        return torch.stack([self._memory.rows[node] for node in kept])

    def _compute(self, tokens: Sequence[int], keep: int) -> torch.Tensor:
        """Logits (keep, vocabulary) of the last `keep` tokens, by the model itself."""
        if self._real is None:
            self._real = self._stepper.open()
        before = self._ledger.tokens
        common = common_prefix(self._real.tokens, before)
        self._real.rollback(self._real.length - common)
        fed = [*before[common:], *tokens]
        return self._real.prefill(fed)[None] if keep == 1 else self._real.step(fed)[-keep:]
