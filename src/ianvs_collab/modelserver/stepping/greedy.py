"""The smallest use of a session: greedy decoding, which is what `generate` of transformers does without sampling."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ianvs_collab.modelserver.stepping.protocol import Session


def greedy(session: Session, prompt: Sequence[int], max_tokens: int, end_tokens: Collection[int] = ()) -> list[int]:
    """Continue a session by the most probable token, again and again.

    Args:
        session: Where to continue; afterwards it holds the prompt and all new tokens but the last.
        prompt: Tokens to append first, not empty.
        max_tokens: Most new tokens, at least 1.
        end_tokens: Tokens after which to stop.

    Returns:
        The new tokens, the end token included.

    Raises:
        StepError: If prompt and completion do not fit into the context.
    """
    chosen = [int(session.prefill(prompt).argmax())]
    while len(chosen) < max_tokens and chosen[-1] not in end_tokens:
        chosen.append(int(session.step(chosen[-1:])[-1].argmax()))
    return chosen
