"""Runs variants on calibration questions, each in a process of its own, turn and turn about.

All workers are loaded before the first question, and then take turns in small blocks, so that whatever else the machine
does slows all of them alike. One of them works at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ianvs_collab.precision.live.process import Clock, WorkerError, WorkerProcess, close_all
from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.profile.energy import Rapl
from ianvs_collab.precision.profile.questions import Item
from ianvs_collab.precision.variant import Variant

_BLOCK = 4  # questions of a turn: few, so that turns come soon; several, so that most find the caches warm


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        rounds: How often every question is asked; answers are judged in the first round.
        max_tokens: Longest completion, in tokens.
        extractor: How the option is read from a completion.
        clock: By which work is measured: `wall`, or `cpu` for the time that the process had the processor (one thread).
        load_timeout_s: Most seconds that loading may take.
        answer_timeout_s: Most seconds that an answer may take.
    """

    rounds: int = 1
    max_tokens: int = 64
    extractor: str = "option-text"
    clock: Clock = "wall"
    load_timeout_s: float = 600.0
    answer_timeout_s: float = 120.0

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        if self.rounds < 1 or self.max_tokens < 1:
            raise PrecisionError(f"rounds and max_tokens are at least 1, not {self.rounds!r} and {self.max_tokens!r}")


@dataclass(frozen=True)
class Failure:
    """A variant that was not measured.

    Attributes:
        variant: Its name.
        reason: Why, in words.
    """

    variant: str
    reason: str


@dataclass
class Measured:
    """A variant as it was measured on this machine; times are in seconds, one for each answer.

    Attributes:
        variant: What was measured.
        loaded: The worker's reply to loading: `load_s`, `footprint`, `revision`, `threads`, `rss_before_bytes`.
        seconds: Work of an answer, all rounds.
        ttft: Time to the first token.
        tpot: Time per output token after the first, of answers with several.
        right: Of each question whether it was answered rightly.
        unparsed: Questions whose answer named no option.
        tokens: Prompt and completion tokens of each question.
        joules: Measured energy of all answers; None if it cannot be read.
        peak_rss_bytes: Largest resident memory of the variant's process.
    """

    variant: Variant
    loaded: dict[str, Any]
    seconds: list[float] = field(default_factory=list)
    ttft: list[float] = field(default_factory=list)
    tpot: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    unparsed: int = 0
    tokens: list[tuple[int, int]] = field(default_factory=list)
    joules: float | None = None
    peak_rss_bytes: int = 0

    def note(self, reply: dict[str, Any], joules: float | None) -> None:
        """Take in the times of an answer."""
        times, tokens = reply["token_times"], reply["completion_tokens"]
        self.seconds.append(reply["worked_s"])
        self.ttft.append(times[0])
        if tokens > 1:
            self.tpot.append((times[-1] - times[0]) / (tokens - 1))
        if joules is not None:
            self.joules = (self.joules or 0.0) + joules
        self.peak_rss_bytes = max(self.peak_rss_bytes, reply["peak_rss_bytes"])

    def judge(self, reply: dict[str, Any], letter: str | None, right: str) -> None:
        """Take in whether an answer was right; one that names no option is wrong."""
        self.right.append(letter == right)
        self.unparsed += letter is None
        self.tokens.append((reply["prompt_tokens"], reply["completion_tokens"]))


def measure(
    variants: Sequence[Variant], items: Sequence[Item], plan: Plan, tell: Callable[[str], None] = lambda _: None
) -> tuple[list[Measured], list[Failure]]:
    """Measure variants.

    Args:
        variants: What to measure.
        items: The calibration questions.
        plan: How to measure.
        tell: Called with a line of progress now and then.

    Returns:
        What was measured, and what could not be, with the reason.

    Raises:
        PrecisionError: If there is no question.
        ExtractorError: If there is no such extractor.
    """
    if not items:
        raise PrecisionError("a portfolio is measured on questions, and there is none")
    items[0].letter("", plan.extractor)  # an extractor that is not there is told before the work
    bench = _Bench(items, plan, tell)
    try:
        for variant in variants:
            bench.load(variant)
        for turn in range(plan.rounds):
            for start in range(0, len(items), _BLOCK):
                bench.block(range(start, min(start + _BLOCK, len(items))), judged=turn == 0)
        return [found for _, found in bench.running.values()], bench.failures
    finally:
        close_all([worker for worker, _ in bench.running.values()])


class _Bench:
    """The variants side by side, each with its process."""

    def __init__(self, items: Sequence[Item], plan: Plan, tell: Callable[[str], None]) -> None:
        self._items, self._plan, self._tell, self._rapl = items, plan, tell, Rapl.find()
        self.running: dict[str, tuple[WorkerProcess, Measured]] = {}
        self.failures: list[Failure] = []

    def load(self, variant: Variant) -> None:
        """Start a process for a variant, load it there, and let it answer once unmeasured."""
        worker = WorkerProcess(variant.name, clock=self._plan.clock)
        try:
            loaded = worker.load(variant, self._plan.load_timeout_s)
            _check_threads(variant, loaded, self._plan.clock)
            self._ask(worker, variant, self._items[0])
        except PrecisionError as error:
            worker.close()
            self.failures.append(Failure(variant.name, str(error)))
            self._tell(f"{variant.name}: left out, {error}")
            return
        self.running[variant.name] = worker, Measured(variant, loaded)
        self._tell(f"{variant.name}: loaded in {loaded['load_s']:.1f} s")

    def block(self, places: range, *, judged: bool) -> None:
        """Let every variant answer a few questions."""
        for name, (worker, found) in list(self.running.items()):
            try:
                for place in places:
                    self._one(worker, found, self._items[place], judged=judged)
            except WorkerError as error:
                worker.close()
                del self.running[name]
                self.failures.append(Failure(name, str(error)))
                self._tell(f"{name}: left out, {error}")

    def _one(self, worker: WorkerProcess, found: Measured, item: Item, *, judged: bool) -> None:
        joules = self._rapl.start() if self._rapl else None
        reply = self._ask(worker, found.variant, item)
        found.note(reply, joules() if joules else None)
        if judged:
            found.judge(reply, item.letter(reply["text"], self._plan.extractor), item.answer)

    def _ask(self, worker: WorkerProcess, variant: Variant, item: Item) -> dict[str, Any]:
        reply = worker.answer(variant.name, item.messages, self._plan.max_tokens, self._plan.answer_timeout_s)
        if not reply["token_times"]:
            raise WorkerError(f"back-end {variant.backend!r} tells no times of its tokens, so it cannot be measured")
        return reply


def _check_threads(variant: Variant, loaded: dict[str, Any], clock: Clock) -> None:
    if clock == "cpu" and loaded["threads"] != 1:
        raise PrecisionError(
            f"{variant.name} runs on {loaded['threads']} threads, and processor time is the sum over threads, not how "
            "long an answer takes; give --threads 1, or --clock wall"
        )
