"""The hyperparameters that say how drafts are made and verified, checked when the module is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ianvs_collab.modelserver import ModelServer, SamplingParams, Stepper, load_model, open_stepper
from ianvs_collab.speculative.decoder import SpeculativeDecoder
from ianvs_collab.speculative.drafters import Drafter, Silent
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.ianvs.drafters import Sides, check_drafter, make_drafter
from ianvs_collab.speculative.loop import LengthPolicy, MeasuredLength
from ianvs_collab.speculative.modes import check_mode
from ianvs_collab.speculative.protocols import make_codec

MEASURED = "measured"
_ANY_VOCABULARY = 2**16


@dataclass(frozen=True)
class Drafting:
    """How a strategy drafts.

    Attributes:
        drafter: Name of the drafter.
        model: Draft model, for drafters that have one.
        backend: Its back-end.
        model_options: Options of that back-end.
        options: Options of the drafter.
        mode: `greedy`, `rejection`, `sample-match` or `gumbel`.
        protocol: `ids`, `quantised-q`, `dssd` or `full-q`.
        protocol_options: Settings of the protocol.
        pipelining: `synchronous`, `pre-draft`, `asynchronous` or `branches`.
        draft_length: Tokens of a block, or `measured`.
        stream: Tokens that the cloud streams where nothing is drafted.
        window: With `asynchronous` and `branches`, blocks under way.
    """

    drafter: str = "model"
    model: str = "zoo:edge"
    backend: str = "transformers"
    model_options: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    mode: str = "greedy"
    protocol: str = "ids"
    protocol_options: Mapping[str, Any] = field(default_factory=dict)
    pipelining: str = "synchronous"
    draft_length: int | str = 5
    stream: int = 8
    window: int = 4

    def check(self, params: SamplingParams) -> None:
        """Refuse what does not fit together, before anything is loaded.

        Args:
            params: How queries are decoded.

        Raises:
            SpeculativeError: If a name is unknown, a number is out of range, or two things exclude one another.
        """
        try:
            codec = make_codec(self.protocol, _ANY_VOCABULARY, **self.protocol_options)
        except TypeError as error:
            raise SpeculativeError(f"protocol {self.protocol!r} has no such option: {error}") from error
        check_mode(self.mode, codec, params)
        self._decoder(cast(Stepper, _Anything()), Silent())
        check_drafter(self.drafter, self.options, self.pipelining)

    def decoder(self, target: Stepper, keep: Callable[[ModelServer], ModelServer]) -> SpeculativeDecoder:
        """Load the drafter and make the decoder.

        Args:
            target: The cloud's model.
            keep: Takes care that a model is closed.

        Raises:
            SpeculativeError: If drafter and target do not fit together.
            ModelServerError: If the draft model cannot be loaded.
        """

        def draft() -> Stepper:
            return warm(open_stepper(keep(load_model(self.backend, self.model, **self.model_options))))

        return self._decoder(target, make_drafter(self.drafter, Sides(target, draft), self.options))

    def described(self) -> dict[str, Any]:
        """What an answer tells of this."""
        return {
            "drafter": self.drafter,
            "mode": self.mode,
            "protocol": self.protocol,
            "pipelining": self.pipelining,
            "draft_length": self.draft_length,
        }

    def _decoder(self, target: Stepper, drafter: Drafter) -> SpeculativeDecoder:
        return SpeculativeDecoder(
            target,
            drafter,
            mode=self.mode,
            protocol=self.protocol,
            draft_length=self._length(),
            stream=self.stream,
            pipelining=self.pipelining,
            window=self.window,
            settings=dict(self.protocol_options),
        )

    def _length(self) -> int | LengthPolicy:
        if self.draft_length == MEASURED:
            return MeasuredLength(stream=self.stream)
        if isinstance(self.draft_length, bool) or not isinstance(self.draft_length, int) or self.draft_length < 1:
            alone = "; without drafts the cloud answers alone, which is the strategy CloudAlone"
            raise SpeculativeError(
                f"draft_length is a number from 1 on, or {MEASURED!r}, not {self.draft_length!r}"
                f"{alone if self.draft_length == 0 else ''}"
            )
        return self.draft_length


class _Anything:
    """Stands for a target whose vocabulary is not known yet."""

    vocabulary = _ANY_VOCABULARY


def warm(stepper: Stepper) -> Stepper:
    """The same model after a few steps, so that no first-time cost falls on a measured query."""
    tokens = stepper.encode("a")
    with stepper.open() as session:
        session.prefill(tokens * 8)
        for count in (1, 4):
            session.step(tokens[-1:] * count)
            session.rollback(count)
    return stepper
