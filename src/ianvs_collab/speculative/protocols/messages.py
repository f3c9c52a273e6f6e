"""The messages between edge and cloud.

Up go the prompt (once), blocks of drafted tokens, and requests for a stream of tokens without drafts. Down go verdicts.
A block has a number, and its verdict the same, so that a late or repeated message is recognised. Numbers travel modulo
128 and are compared as serial numbers (RFC 1982).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ianvs_collab.speculative.protocols.packing import varint_bytes
from ianvs_collab.speculative.verification.base import Draft

NUMBERS = 128


@dataclass(frozen=True, slots=True)
class Block:
    """What the edge sends.

    Attributes:
        number: Which block of the query it is, from 0; modulo `NUMBERS` once it has travelled.
        draft: The proposal; empty for a stream.
        head: The token before it, if the edge drew it and the cloud cannot know it.
        wanted: How many tokens the cloud is to stream; 0 with a draft.
        bonus: Whether the cloud is to add a token after a draft that stands as a whole.
        chained: Whether the draft continues one whose verdict was not known when it was sent. The cloud drops it if
            that one did not stand.
    """

    number: int
    draft: Draft
    head: int | None = None
    wanted: int = 0
    bonus: bool = True
    chained: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """What the payload of a protocol depends on, as means over the blocks of a run.

    Attributes:
        drafted: Tokens in a block: γ, less where drafts end early.
        committed: Tokens that a block commits: N.
        id_bytes: LEB128 bytes of a drafted id.
        verdict_id_bytes: LEB128 bytes of the id in a verdict.
        vocabulary: Number of token ids.
        rejected: Share of blocks in which a token was rejected: 1 - α^γ.
        support: Tokens with a probability above 0 in a row of q that was sent.
        entry_bytes: Bytes of one of them, its id and its probability.
    """

    drafted: float
    committed: float
    id_bytes: float
    verdict_id_bytes: float
    vocabulary: int
    rejected: float = 0.0
    support: float = 0.0
    entry_bytes: float = 0.0


def age(number: int, expected: int) -> int:
    """How many blocks a number that travelled is behind the expected one; negative if it is ahead.

    Args:
        number: Modulo `NUMBERS`.
        expected: Any size.
    """
    return (expected - number + NUMBERS // 2) % NUMBERS - NUMBERS // 2


def id_bytes(tokens: Sequence[int]) -> int:
    """LEB128 bytes of ids."""
    return sum(map(varint_bytes, tokens))
