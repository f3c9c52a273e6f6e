"""Baseline: speculation at one place. The cloud holds the drafter too, and streams the answer over the link.

Drafts and verdicts cross no link then. What is left to be said for drafting at the edge is that its compute may be free
(arXiv 2606.25091 makes the case against).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from ianvs_collab.inference import Answer, CloudParticipant, Participant, Query
from ianvs_collab.link import Deployment, Timeline
from ianvs_collab.modelserver import GREEDY, Generation, ModelInfo, ModelServer, Prompt, SamplingParams
from ianvs_collab.speculative.decoder import Decoding, SpeculativeDecoder
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.ianvs.drafting import warm
from ianvs_collab.speculative.ianvs.model import SpeculativeModel
from ianvs_collab.speculative.ianvs.outcome import account, generation_of
from ianvs_collab.speculative.ianvs.target import current_target


class ColocatedServer:
    """A model server that speculates: target and drafter take turns on one machine.

    Args:
        server: The target.
        decoder: The same with a drafter.

    Attributes:
        latest: The latest decoding.
    """

    def __init__(self, server: ModelServer, decoder: SpeculativeDecoder) -> None:
        self._server, self._decoder = server, decoder
        self.latest: Decoding | None = None

    @property
    def info(self) -> ModelInfo:
        """Provenance of the target, with the way it is decoded."""
        extra = {**self._server.info.extra, "decoding": "speculative"}
        return dataclasses.replace(self._server.info, extra=extra)

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None) -> Generation:
        """Complete one prompt.

        Raises:
            SpeculativeError: If mode and temperature do not fit together, or the prompt is too long.
            ModelServerError: If a model does not answer.
        """
        timeline = Timeline(Deployment(name="one-machine"))
        start = time.perf_counter()
        tokens = self._decoder.target.encode(prompt)
        timeline.compute("cloud", time.perf_counter() - start, "tokenise")
        self.latest = self._decoder.decode_tokens(tokens, params, timeline, prompt=prompt)
        return generation_of(self.latest, self._decoder.target, len(tokens))

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY) -> list[Generation]:
        """Complete several prompts, one after the other."""
        return [self.generate(prompt, params) for prompt in prompts]

    def close(self) -> None:
        """Nothing is held here: target and drafter are closed where they were loaded."""


class ColocatedParticipant(CloudParticipant):
    """The cloud with a drafter of its own; its answers tell of the drafts under `speculation`.

    Args:
        server: Target and drafter.
        described: How it drafts.
        params: How to decode.
        chat: Whether to send the query as a chat.
    """

    def __init__(
        self, server: ColocatedServer, described: dict[str, Any], params: SamplingParams, *, chat: bool = True
    ) -> None:
        super().__init__(server, params, chat=chat)
        self._colocated, self._described = server, described

    def answer(self, query: Query) -> Answer:
        """Answer a query; see `Participant.answer`."""
        answer = super().answer(query)
        assert self._colocated.latest is not None
        answer["speculation"] = account(self._colocated.latest, **self._described, place="cloud")
        return answer


class ColocatedSpeculation(SpeculativeModel):
    """Drafts and verifies in the cloud.

    Args:
        arguments: As for a `SpeculativeModel`; pipelining is synchronous, for one machine does one thing at a time.

    Raises:
        SpeculativeError: As there, and if it is to be pipelined.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        if self.drafting.pipelining != "synchronous":
            raise SpeculativeError(
                "at one place no messages are under way, so there is nothing to pipeline; leave `pipelining` out"
            )

    def _make(self) -> Participant:
        target = current_target()
        decoder = self.drafting.decoder(warm(target.stepper()), self._keep)
        server = ColocatedServer(target.server(), decoder)
        return ColocatedParticipant(server, self.drafting.described(), self.params, chat=self.chat)

    def _four(self, answer: Answer) -> list[Any]:
        """The cloud's answer; the edge had no part in it."""
        return [True, answer, None, answer]
