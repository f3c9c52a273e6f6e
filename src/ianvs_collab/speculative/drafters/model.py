"""A draft model: any model with a step interface and the target's vocabulary.

Its session keeps the key-value cache from block to block. What was drafted and rejected is rolled back, and whatever
was committed without having been drafted is fed with the next block.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from ianvs_collab.modelserver.stepping import Session, Stepper
from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.drafters.picking import FixedPicker, Picker
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.protocols import MAX_DRAFT
from ianvs_collab.speculative.sampling import Floats
from ianvs_collab.speculative.verification.base import Draft, common_prefix


@dataclass(frozen=True, slots=True)
class Doubt:
    """How sure a drafter was of a token.

    Attributes:
        certainty: Probability that the draft model gave it.
        other: What it would have taken instead.
    """

    certainty: float
    other: int


class ModelDrafter:
    """Drafts with a small model, token by token.

    A block ends early after an end token, and after a token whose probability is below `confidence`. That token still
    goes along: whether it is part of the draft must not depend on what it is, or rejection would not be lossless.

    Args:
        stepper: The draft model.
        vocabulary: Number of token ids of the target. A larger embedding of the draft model (padding) is cut off, of a
            smaller one the missing tokens are never drafted, and after one in the text nothing is.
        end_tokens: Tokens after which nothing comes.
        confidence: Probability below which a block ends, 0 to never end it.

    Attributes:
        least: A block ends after the token with which the probability of all of it falls below this. Each query begins
            with 0, which never ends it.
        stopped: Whether the last draft ended after an end token or an unsure one.
        doubting: Whether to note `doubts`, which takes a little time.
        doubts: Of the tokens of the last draft, if they are noted.

    Raises:
        SpeculativeError: If `confidence` is not from 0 to below 1.
    """

    def __init__(
        self, stepper: Stepper, vocabulary: int, *, end_tokens: Collection[int] = (), confidence: float = 0.0
    ) -> None:
        if not 0 <= confidence < 1:
            raise SpeculativeError(f"confidence lies from 0 to below 1, like 0.4; it cannot be {confidence!r}")
        self._stepper, self._vocabulary, self._end_tokens = stepper, vocabulary, frozenset(end_tokens)
        self._confidence = confidence
        self._session: Session | None = None
        self._forks: list[ModelDrafter] = []
        self.stopped = self.doubting = False
        self.least = 0.0
        self.doubts: list[Doubt] = []

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        """Start a query; see `Drafter.begin`."""
        self.end()
        self._picker, self._position, self.least = picker, 0, 0.0
        self._unfed, self._fed = list(tokens), list[int]()
        self._lost = self._knows_not(tokens)
        self._session = self._stepper.open()  # the prompt is read with the first draft, in one forward pass

    def draft(self, count: int) -> Draft:
        """Propose tokens; see `Drafter.draft`. Proposes fewer where the draft model's context ends."""
        assert self._session is not None
        count = min(count, self._room())
        self.stopped, self.doubts = False, []
        if not count:
            return Draft([])
        tokens, rows, sure = list[int](), list[Floats](), 1.0
        while len(tokens) < count:
            logits = self._target_logits(self._session.prefill(self._unfed))
            self._fed, self._unfed = tokens.copy(), []
            token, row = self._picker.pick(logits, self._position + len(tokens))
            if self.doubting:
                self.doubts.append(self._doubt(logits, token, self._position + len(tokens)))
            tokens.append(token)
            if row is not None:
                rows.append(row)
            if self._confidence or self.least:
                certainty = _certainty(logits, token)
                sure *= certainty
                self.stopped = certainty < self._confidence or sure < self.least
            if self.stopped or token in self._end_tokens:
                self.stopped = True
                break
            self._unfed = [token]
        self._unfed = []
        return self._picker.draft(tokens, rows)

    def commit(self, tokens: Sequence[int]) -> None:
        """Learn what was appended; see `Drafter.commit`."""
        assert self._session is not None
        kept = common_prefix(self._fed, tokens)
        self._session.rollback(len(self._fed) - kept)
        self._unfed = [*self._unfed, *tokens[kept:]]
        self._fed = []
        self._position += len(tokens)
        self._lost = self._lost or self._knows_not(tokens)

    def retract(self, count: int) -> None:
        """Forget the last `count` tokens that were committed; others follow at once."""
        assert self._session is not None
        waiting = min(count, len(self._unfed))
        del self._unfed[len(self._unfed) - waiting :]
        self._session.rollback(count - waiting)
        self._position -= count

    def fork(self) -> ModelDrafter:
        """An independent copy at the same place, to draft what might come instead; it ends with this one."""
        assert self._session is not None
        other = copy.copy(self)
        other._session = self._session.fork()
        other._unfed, other._fed, other._forks = self._unfed.copy(), self._fed.copy(), []
        self._forks.append(other)
        return other

    def adopt(self, fork: ModelDrafter) -> None:
        """Go on where a fork is; what was drafted here is forgotten, and the fork has ended."""
        assert self._session is not None
        self._session.close()
        self._session, fork._session = fork._session, None
        self._unfed, self._fed = fork._unfed, fork._fed
        self._position, self._lost = fork._position, fork._lost

    def end(self) -> None:
        """Finish the query; see `Drafter.end`."""
        for fork in self._forks:
            fork.end()
        self._forks = []
        if self._session is not None:
            self._session.close()
            self._session = None

    def _room(self) -> int:
        """Tokens that can be drafted before the context is full; the last one is not fed."""
        assert self._session is not None
        if self._lost:
            return 0
        if self._stepper.context is None:
            return MAX_DRAFT
        return max(0, self._stepper.context - self._session.length - len(self._unfed) + 1)

    def _knows_not(self, tokens: Sequence[int]) -> bool:
        return max(tokens) >= self._stepper.vocabulary

    def _doubt(self, logits: torch.Tensor, token: int, position: int) -> Doubt:
        others = logits.clone()
        others[token] = -torch.inf
        # A drawing picker would use up a random number; the most probable of the others is as good a guess.
        fixed = isinstance(self._picker, FixedPicker)
        return Doubt(
            _certainty(logits, token), self._picker.pick(others, position)[0] if fixed else int(others.argmax())
        )

    def _target_logits(self, logits: torch.Tensor) -> torch.Tensor:
        missing = self._vocabulary - logits.shape[-1]
        if not missing:
            return logits
        if missing > 0:
            return torch.nn.functional.pad(logits, (0, missing), value=-torch.inf)
        return logits[: self._vocabulary]


def _certainty(logits: torch.Tensor, token: int) -> float:
    return math.exp(float(logits[token] - logits.logsumexp(-1)))
