"""What travels between edge and cloud: one protocol a file. `make_codec("ids", vocabulary)` gives one by name."""

from __future__ import annotations

from typing import Any

from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.protocols.dssd import Dssd
from ianvs_collab.speculative.protocols.full_q import FullQ
from ianvs_collab.speculative.protocols.ids import MAX_DRAFT, MAX_TOKENS, Ids
from ianvs_collab.speculative.protocols.messages import NUMBERS, Block, Shape, age, id_bytes
from ianvs_collab.speculative.protocols.packing import frame, varint, varint_bytes
from ianvs_collab.speculative.protocols.quantised_q import QuantisedQ

PROTOCOLS: dict[str, type[Ids]] = {kind.name: kind for kind in (Ids, QuantisedQ, Dssd, FullQ)}
"""Protocols by name."""

__all__ = [
    "MAX_DRAFT",
    "MAX_TOKENS",
    "NUMBERS",
    "PROTOCOLS",
    "Block",
    "Dssd",
    "FullQ",
    "Ids",
    "QuantisedQ",
    "Shape",
    "age",
    "frame",
    "id_bytes",
    "make_codec",
    "varint",
    "varint_bytes",
]


def make_codec(name: str, vocabulary: int, **settings: Any) -> Ids:
    """A protocol by name.

    Args:
        name: One of `PROTOCOLS`.
        vocabulary: Number of token ids of the target.
        settings: Of the protocol, e.g. `top` and `bits` of `quantised-q`.

    Raises:
        SpeculativeError: If there is none of that name.
    """
    if name not in PROTOCOLS:
        raise SpeculativeError(f"there is no protocol {name!r}; choose one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name](vocabulary, **settings)
