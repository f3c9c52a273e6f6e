"""The cloud is lost and the user waits: the draft model writes the rest of the completion by itself.

What it writes is not the target's, and is told apart. It reads the whole text anew: a forward pass at the edge, and
whatever it had drafted ahead of the last verdict is no concern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ianvs_collab.modelserver.types import Prompt, SamplingParams
from ianvs_collab.speculative.drafters import Drafter, FixedPicker, ModelDrafter, Picker
from ianvs_collab.speculative.errors import CloudLostError, SpeculativeError
from ianvs_collab.speculative.loop import Exchange
from ianvs_collab.speculative.modes import make_chooser
from ianvs_collab.speculative.sampling import Floats
from ianvs_collab.speculative.verification import Draft

CUTS = ("error", "edge")
"""What to do when the cloud is lost: raise `CloudLostError`, or let the draft model go on."""


def check_cut(when_cut: str, drafter: Drafter) -> None:
    """Refuse what cannot be done.

    Raises:
        SpeculativeError: If there is no such way, or the drafter cannot go on alone.
    """
    if when_cut not in CUTS:
        raise SpeculativeError(f"there is no when_cut {when_cut!r}; choose one of {', '.join(CUTS)}")
    if when_cut == "edge" and not isinstance(drafter, ModelDrafter):
        raise SpeculativeError(
            f"{type(drafter).__name__} cannot write a text without the target; use a ModelDrafter, or when_cut='error'"
        )


def finish_alone(
    exchange: Exchange,
    lost: CloudLostError,
    *,
    drafter: Drafter,
    tokens: Sequence[int],
    mode: str,
    params: SamplingParams,
    prompt: Prompt | None = None,
) -> None:
    """Let a drafter finish a query, token by token.

    It takes its tokens by the rule that the target would have followed; with `rejection`, whose tokens no rule fixes,
    by `sample-match`.

    Args:
        exchange: The query, whose cloud is lost.
        lost: What happened.
        drafter: What goes on.
        tokens: The prompt.
        mode: Of the query.
        params: Of the query, with a seed.
        prompt: The prompt as the user gave it.

    Raises:
        CloudLostError: If the drafter cannot go on; with the tokens that are the target's.
    """
    edge = exchange.edge
    text = [*tokens, *edge.tokens]
    chooser = make_chooser("sample-match" if mode == "rejection" else mode, params)
    picker = _Later(FixedPicker(chooser), len(edge.tokens))
    try:
        exchange.draft_ahead(lambda: drafter.begin(text, picker, prompt))
        while not edge.finished:
            written = len(edge.tokens)
            exchange.draft_ahead(lambda: edge.write_alone(drafter))
            if len(edge.tokens) == written:
                raise lost
            exchange.timeline.commit(exchange.timeline.now)
    finally:
        drafter.end()


@dataclass(frozen=True)
class _Later:
    """A picker for a drafter that begins in the middle of a completion.

    Attributes:
        picker: What picks.
        first: Index in the completion of the first token.
    """

    picker: Picker
    first: int

    def pick(self, logits: torch.Tensor, position: int) -> tuple[int, Floats | None]:
        return self.picker.pick(logits, self.first + position)

    def draft(self, tokens: Sequence[int], rows: Sequence[Floats]) -> Draft:
        return self.picker.draft(tokens, rows)

    def certain(self, tokens: Sequence[int]) -> Draft:
        return self.picker.certain(tokens)
