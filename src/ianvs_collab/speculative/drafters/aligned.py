"""A draft model with another tokenizer: the two models meet in the text.

The draft model writes a few of its own tokens; their text, behind a piece of what stands there already, is cut up by
the target's tokenizer, and the tokens beyond that piece are the draft. Committed tokens go the other way. That is
universal assisted generation (Timor et al. 2025, arXiv:2502.05202, string-level exact match). A draft made this way was
not drawn from a distribution over the target's tokens, so with rejection it counts as certain.
"""

from __future__ import annotations

from collections.abc import Sequence

from ianvs_collab.modelserver.stepping import Session, Stepper
from ianvs_collab.modelserver.types import Prompt
from ianvs_collab.speculative.drafters.picking import Picker
from ianvs_collab.speculative.verification.base import Draft, common_prefix

_WINDOW = 16


class AlignedDrafter:
    """Drafts with a model that has its own tokenizer.

    Args:
        stepper: The draft model.
        target: The target; only its tokenizer is used.
        ratio: Tokens of the draft model to write for each token of the target that is asked for.
    """

    def __init__(self, stepper: Stepper, target: Stepper, ratio: float = 1.0) -> None:
        self._stepper, self._target, self._ratio = stepper, target, ratio
        self._own, self._others = _Cutter(stepper), _Cutter(target)
        self._session: Session | None = None

    def begin(self, tokens: Sequence[int], picker: Picker, prompt: Prompt | None = None) -> None:
        """Start a query; see `Drafter.begin`. The prompt is rendered by the draft model's own chat template."""
        self.end()
        self._picker, self._tokens = picker, list(tokens)
        self._prompt = self._stepper.encode(prompt if prompt is not None else self._target.decode(tokens))
        self._answer: list[int] = []
        self._fed: list[int] = []
        self._session = self._stepper.open()

    def draft(self, count: int) -> Draft:
        """Propose tokens; see `Drafter.draft`."""
        # A last character that is not whole yet ends in the replacement character, and can only be guessed at.
        text = self._target.decode(self._answer).rstrip("\ufffd")
        wanted = [*self._prompt, *(self._own.continued("", text) if text else [])]
        own = self._write(wanted, max(1, round(count * self._ratio)))
        new = self._stepper.decode([*wanted[-_WINDOW:], *own])
        new = new[len(self._stepper.decode(wanted[-_WINDOW:])) :].rstrip("\ufffd")
        before = self._target.decode(self._answer[-_WINDOW:])
        tokens = self._others.continued(before, new)[:count] if new else []
        return self._picker.certain(tokens) if tokens else Draft([])

    def commit(self, tokens: Sequence[int]) -> None:
        """Learn what was appended; see `Drafter.commit`."""
        self._answer += tokens

    def end(self) -> None:
        """Finish the query; see `Drafter.end`."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _write(self, wanted: list[int], count: int) -> list[int]:
        """Let the draft model continue its tokens greedily, as far as its context reaches."""
        assert self._session is not None
        context = self._stepper.context
        if context is not None:
            count = min(count, context - len(wanted) + 1)
        if count < 1:
            return []
        kept = min(common_prefix(self._fed, wanted), len(wanted) - 1)
        self._session.rollback(len(self._fed) - kept)
        self._fed, unfed = self._fed[:kept], wanted[kept:]
        own: list[int] = []
        while len(own) < count:
            logits = self._session.prefill(unfed)
            self._fed += unfed
            own.append(int(logits.argmax()))
            unfed = own[-1:]
            if own[-1] in self._stepper.end_tokens:
                return own[:-1]
        return own


class _Cutter:
    """Cuts texts up into a model's tokens, without those that its tokenizer puts in front of every text."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        self._lead = common_prefix(stepper.encode("a"), stepper.encode("z"))

    def tokens(self, text: str) -> list[int]:
        """Tokens of a text, none of an empty one."""
        return self._stepper.encode(text)[self._lead :] if text else []

    def continued(self, before: str, new: str) -> list[int]:
        """Tokens of a text that stands behind another one.

        The two are cut up together, because tokens may depend on what is in front; where the cut falls inside a token,
        the new text is cut up alone.
        """
        start, whole = self.tokens(before), self.tokens(before + new)
        if common_prefix(start, whole) == len(start):
            return whole[len(start) :]
        return self.tokens(new)
