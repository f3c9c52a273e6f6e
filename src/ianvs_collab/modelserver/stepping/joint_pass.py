"""One forward pass over several sessions of a model of transformers, each with its own key-value cache.

Rows are padded to the longest, on the left where the caches differ in length and on the right where the new tokens
do; positions count from each row's own beginning. How the caches are laid side by side is in `joint_cache`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from transformers.cache_utils import DynamicLayer

from ianvs_collab.modelserver.stepping.causal_lm import CausalSession
from ianvs_collab.modelserver.stepping.joint_cache import Span, join
from ianvs_collab.modelserver.stepping.protocol import Session, StepError

_NEEDED = {"past_key_values", "attention_mask", "position_ids"}


def sharing(session: Session) -> Hashable | None:
    """What sessions have in common that can share a pass; None for one that can share with none.

    Recurrent layers carry a state through the padding, layers without keys of their own cannot be laid side by side,
    and a model without positions or mask as arguments cannot be told about any of it. Rotary frequencies that change
    with the longest text in the pass would let one row change another.
    """
    if not _is_causal(session):
        return None
    engine = session._engine
    layers: list[Any] = session._cache.values.layers
    if _NEEDED - engine.accepts or not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return None
    if any(layer.get_seq_length() != session._cache.length for layer in layers):
        return None
    return None if _stretches(engine.config) else engine.at_work


def pending(session: Session) -> int:
    """Tokens of a session that its cache does not hold, and that have to be fed along."""
    assert _is_causal(session)
    return session.length - session._cache.length


def step_jointly(sessions: Sequence[Session], tokens: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Append tokens to sessions of one model in one forward pass.

    Args:
        sessions: All with the same `sharing`, not None.
        tokens: For each session what to append to it.

    Returns:
        Logits for each session, shape (its tokens, vocabulary), float32.

    Raises:
        StepError: As `Session.step`; all sessions are then as they were before.
    """
    rows = [_row(session, new) for session, new in zip(sessions, tokens, strict=True)]
    width, first = max(len(row.feed) for row in rows), min(row.first for row in rows)
    hidden = any(row.session._keeps_hidden for row in rows)
    with rows[0].session._engine.at_work() as model:
        try:
            output = _forward(model, rows, width, width - first, hidden)
        except BaseException as error:
            # Some layers may have got the new tokens and others not.
            for row in rows:
                row.session._cache.clear()
            if isinstance(error, torch.OutOfMemoryError):
                raise StepError(
                    f"model {rows[0].session._engine.name!r} ran out of memory with {len(rows)} texts of up to "
                    f"{max(row.held + len(row.feed) for row in rows)} tokens in one forward pass; use smaller "
                    "batches, shorter texts, a smaller precision or a smaller model"
                ) from error
            raise
        start = width - output.logits.shape[1]  # the column of the first logits
        logits = [output.logits[i, row.first - start : len(row.feed) - start].float() for i, row in enumerate(rows)]
    for index, row in enumerate(rows):
        row.keep(getattr(output, "hidden_states", None), index)
    return logits


@dataclass(frozen=True)
class _Row:
    """One session in a pass.

    Attributes:
        session: Whose row it is.
        held: Tokens in its cache.
        feed: Tokens that it is fed.
        first: Index in `feed` of the first new token; those before it were in the text already.
    """

    session: CausalSession
    held: int
    feed: list[int]
    first: int

    def keep(self, states: Any, index: int) -> None:
        """Note that the row was computed.

        Args:
            states: Hidden states of the pass, each (rows, columns, width), or None.
            index: Which row this is.
        """
        self.session._cache.length = self.held + len(self.feed)
        self.session._ledger.append(self.feed[self.first :])
        if self.session._keeps_hidden:
            self.session._states = [state[index, self.first : len(self.feed)] for state in states]


def _row(session: Session, tokens: Sequence[int]) -> _Row:
    assert _is_causal(session)
    session._ledger.check(tokens)
    held = session._cache.length
    missing = session._ledger.since(held)
    return _Row(session, held, [*missing, *tokens], len(missing))


def _forward(model: Any, rows: Sequence[_Row], width: int, keep: int, hidden: bool) -> Any:
    """One pass of the model over all rows, the last `keep` columns with logits."""
    options: dict[str, Any] = {"output_hidden_states": True} if hidden else {}
    engine = rows[0].session._engine
    if "logits_to_keep" in engine.accepts:
        options["logits_to_keep"] = keep
    columns, longest = torch.arange(width), max(row.held for row in rows)
    held = torch.tensor([row.held for row in rows])[:, None]
    last = torch.tensor([len(row.feed) - 1 for row in rows])[:, None]
    return model(
        input_ids=torch.tensor([row.feed + [0] * (width - len(row.feed)) for row in rows], device=model.device),
        # Padding takes the last token's position, so that none lies beyond what the model knows.
        position_ids=(held + torch.minimum(columns, last)).to(model.device),
        attention_mask=(torch.arange(longest + width) >= longest - held).long().to(model.device),
        past_key_values=join([Span(row.session._cache.values.layers, row.held, len(row.feed)) for row in rows]),
        use_cache=True,
        **options,
    )


def _is_causal(session: Session) -> TypeGuard[CausalSession]:
    return type(session) is CausalSession


def _stretches(config: Any) -> bool:
    """Whether rotary frequencies depend on the longest text of a pass."""
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    of_layers = [value for value in rope.values() if isinstance(value, dict)]
    kinds = [str(parameters.get("rope_type")) for parameters in (rope, *of_layers)]
    return any("dynamic" in kind or kind == "longrope" for kind in kinds)
