"""A draft model: any model with a step interface and the target's vocabulary.

Its session keeps the key-value cache from block to block. What was drafted and rejected is rolled back, and whatever
was committed without having been drafted is fed with the next block.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch

from ianvs_collab.modelserver.stepping import Session, Stepper
from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.drafters.picking import Picker
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.protocols import MAX_DRAFT
from ianvs_collab.speculative.sampling import Floats
from ianvs_collab.speculative.verification.base import Draft, common_prefix


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

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        """Start a query; see `Drafter.begin`."""
        self.end()
        self._picker, self._position = picker, 0
        self._unfed, self._fed = list(tokens), list[int]()
        self._lost = self._knows_not(tokens)
        self._session = self._stepper.open()  # the prompt is read with the first draft, in one forward pass

    def draft(self, count: int) -> Draft:
        """Propose tokens; see `Drafter.draft`. Proposes fewer where the draft model's context ends."""
        assert self._session is not None
        count = min(count, self._room())
        if not count:
            return Draft([])
        tokens, rows = list[int](), list[Floats]()
        while len(tokens) < count:
            logits = self._target_logits(self._session.prefill(self._unfed))
            self._fed, self._unfed = tokens.copy(), []
            token, row = self._picker.pick(logits, self._position + len(tokens))
            tokens.append(token)
            if row is not None:
                rows.append(row)
            if token in self._end_tokens or self._unsure(logits, token):
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

    def end(self) -> None:
        """Finish the query; see `Drafter.end`."""
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

    def _unsure(self, logits: torch.Tensor, token: int) -> bool:
        return self._confidence > 0 and float(logits[token] - logits.logsumexp(-1)) < math.log(self._confidence)

    def _target_logits(self, logits: torch.Tensor) -> torch.Tensor:
        missing = self._vocabulary - logits.shape[-1]
        if not missing:
            return logits
        if missing > 0:
            return torch.nn.functional.pad(logits, (0, missing), value=-torch.inf)
        return logits[: self._vocabulary]
