"""What both sides of a query have to agree on before the first block: sent once, with the prompt.

Whatever a client writes into it is checked before the worker takes memory or asks the model.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.modes import check_mode
from ianvs_collab.speculative.protocols import MAX_TOKENS, Ids, make_codec

_LARGEST_SEED = 2**64


class Terms(BaseModel):
    """How a query is decoded.

    Attributes:
        mode: One of `MODES`.
        protocol: One of `PROTOCOLS`.
        settings: Of the protocol.
        max_tokens: Longest completion.
        temperature: 0 for greedy decoding.
        top_p: Nucleus.
        top_k: Most probable tokens that stay in; 0 for all.
        seed: What both sides draw by.
        eager: Whether the worker is to read the prompt as soon as it comes; see `CloudHalf`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    mode: str
    protocol: str
    settings: dict[str, int]
    max_tokens: Annotated[int, Field(ge=1, lt=MAX_TOKENS)]
    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    top_k: Annotated[int, Field(ge=0)]
    seed: Annotated[int, Field(ge=-_LARGEST_SEED, le=_LARGEST_SEED)]
    eager: bool

    @classmethod
    def of(cls, mode: str, protocol: str, settings: dict[str, Any], params: SamplingParams, *, eager: bool) -> Self:
        """The terms of a query at the edge.

        Args:
            mode: One of `MODES`.
            protocol: One of `PROTOCOLS`.
            settings: Of the protocol.
            params: With a seed.
            eager: Whether the prompt is to be read at once.

        Raises:
            SpeculativeError: If something cannot be sent.
        """
        names = ("max_tokens", "temperature", "top_p", "top_k", "seed")
        chosen = {name: getattr(params, name) for name in names}
        return cls.parse({"mode": mode, "protocol": protocol, "settings": settings, "eager": eager, **chosen})

    @classmethod
    def parse(cls, values: Any) -> Self:
        """The terms that a message brings.

        Raises:
            SpeculativeError: If they are none.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise SpeculativeError(f"the terms of a query are wrong: {found}") from error

    @property
    def params(self) -> SamplingParams:
        """How to draw."""
        return SamplingParams(self.max_tokens, self.temperature, self.top_p, self.top_k, self.seed)

    def codec(self, vocabulary: int) -> Ids:
        """The protocol, for a target of so many tokens.

        Raises:
            SpeculativeError: If there is no such protocol, it has no such setting, or mode, protocol and temperature
                do not fit together.
        """
        try:
            codec = make_codec(self.protocol, vocabulary, **self.settings)
        except TypeError as error:
            raise SpeculativeError(f"protocol {self.protocol!r} has no such setting: {error}") from error
        check_mode(self.mode, codec, self.params)
        return codec
