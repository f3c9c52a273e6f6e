"""Several texts in one forward pass: a server that works for many clients reads the weights once for all of them.

Sessions of one model of transformers share a pass, whatever the lengths of their texts; all others are stepped one
after the other, so that callers need not know which is which. Batching at this level, pass by pass, is that of
Yu et al. 2022, "Orca" (OSDI 22).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

from ianvs_collab.modelserver.stepping.protocol import Session, StepError

if TYPE_CHECKING:
    import torch

_PASS = 64
"""What another forward pass costs, in tokens of padding: texts of very different lengths are not padded to one."""


def step_together(sessions: Sequence[Session], tokens: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Append tokens to several sessions: what `step` does for each, in as few forward passes as possible.

    The logits are those of stepping each alone up to rounding, because a batch is summed in another order.

    Args:
        sessions: Of any models, each once.
        tokens: For each session what to append to it.

    Returns:
        Logits for each session, shape (its tokens, vocabulary), float32.

    Raises:
        StepError: If a session is given twice, not each has its tokens, or as `Session.step`. All sessions are then as
            they were before.
    """
    if len(sessions) != len(tokens):
        raise StepError(f"{len(sessions)} sessions were given tokens for {len(tokens)}; give one list for each session")
    if len({id(session) for session in sessions}) < len(sessions):
        raise StepError("a session was given twice; a text can be continued only once in one forward pass")
    logits: dict[int, torch.Tensor] = {}
    try:
        for group in _groups(sessions, tokens):
            found = _step([sessions[index] for index in group], [tokens[index] for index in group])
            logits.update(zip(group, found, strict=True))
    except BaseException:
        for index in logits:
            sessions[index].rollback(len(tokens[index]))
        raise
    return [logits[index] for index in range(len(sessions))]


def _step(sessions: list[Session], tokens: list[Sequence[int]]) -> list[torch.Tensor]:
    if len(sessions) == 1:
        return [sessions[0].step(tokens[0])]
    from ianvs_collab.modelserver.stepping.joint_pass import step_jointly  # noqa: PLC0415 - torch

    return step_jointly(sessions, tokens)


def _groups(sessions: Sequence[Session], tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices of the sessions that share a pass."""
    from ianvs_collab.modelserver.stepping.joint_pass import pending, sharing  # noqa: PLC0415 - torch

    of_model: dict[Hashable, list[tuple[int, int]]] = {}
    for index, session in enumerate(sessions):
        shared = sharing(session)
        if shared is None:
            yield [index]
        else:
            of_model.setdefault(shared, []).append((pending(session) + len(tokens[index]), index))
    for members in of_model.values():
        members.sort()
        for part in cheapest([length for length, _ in members]):
            yield [index for _, index in members[part]]


def cheapest(lengths: Sequence[int]) -> list[slice]:
    """The split of rows into forward passes that takes the least time, a pass of n rows being n times its longest.

    Args:
        lengths: Tokens of each row, ascending.

    Returns:
        The rows of each pass.
    """
    costs, starts = [0], [0]  # of the first n rows: least cost, and where the last pass begins
    for end in range(1, len(lengths) + 1):
        choices = [costs[start] + _PASS + (end - start) * lengths[end - 1] for start in range(end)]
        costs.append(min(choices))
        starts.append(choices.index(min(choices)))
    parts, end = list[slice](), len(lengths)
    while end:
        parts.append(slice(starts[end], end))
        end = starts[end]
    return parts[::-1]
