"""Edge and cloud as one: the edge drafts, the cloud verifies, and the answer is the target's."""

from __future__ import annotations

import time

from ianvs_collab.inference import Answer, CloudParticipant, Query
from ianvs_collab.link import Timeline
from ianvs_collab.modelserver import Generation, SamplingParams
from ianvs_collab.speculative.decoder import Decoding, SpeculativeDecoder
from ianvs_collab.speculative.ianvs.drafting import Drafting
from ianvs_collab.speculative.ianvs.outcome import account, generation_of, traffic
from ianvs_collab.speculative.ianvs.target import TargetModel


class SpeculativeParticipant(CloudParticipant):
    """Answers queries by speculative decoding over the deployment's link.

    Args:
        target: The target.
        decoder: The same with a drafter.
        drafting: How it drafts, for the answers.
        params: How to decode.
        chat: Whether to send the query as a chat.
    """

    def __init__(
        self,
        target: TargetModel,
        decoder: SpeculativeDecoder,
        drafting: Drafting,
        params: SamplingParams,
        *,
        chat: bool = True,
    ) -> None:
        super().__init__(target.server(), params, chat=chat)
        self._target, self._decoder, self._drafting = target, decoder, drafting
        self._latest: Decoding | None = None

    def answer(self, query: Query) -> Answer:
        """Answer a query; see `Participant.answer`. The answer tells of the drafts under `speculation`.

        Raises:
            SpeculativeError: If mode and temperature do not fit together, the query does not fit into the target's
                context, or the cloud is lost.
            ModelServerError: If a model does not answer.
        """
        before = _messages_up(query.timeline)
        answer = super().answer(query)
        assert self._latest is not None
        answer["link"]["round_trips"] = _messages_up(query.timeline) - before
        answer["speculation"] = account(
            self._latest, **self._drafting.described(), place="edge", **traffic(self._latest)
        )
        return answer

    def generate(self, query: Query, params: SamplingParams | None = None) -> Generation:
        """Complete a query and leave its timeline alone; see `Participant.generate`."""
        timeline = Timeline(query.timeline.deployment, str(query.get("query_id", "")))
        return self._decode(query, params or self.params, timeline)

    def _run(self, query: Query) -> Generation:
        return self._decode(query, self.params, query.timeline)

    def _decode(self, query: Query, params: SamplingParams, timeline: Timeline) -> Generation:
        prompt, target = self._prompt(query), self._decoder.target
        start = time.perf_counter()
        tokens = target.encode(prompt)
        if timeline.deployment.tier == "virtual":  # else the worker was asked, where an edge device would know itself
            timeline.compute("edge", time.perf_counter() - start, "tokenise")
        self._target.begin(str(query.get("query_id", "")))
        self._latest = self._decoder.decode_tokens(tokens, params, timeline, prompt=prompt)
        return generation_of(self._latest, target, len(tokens))


def _messages_up(timeline: Timeline) -> int:
    """Messages of the edge that ask for an answer."""
    return sum(event.resource == "uplink" and event.label == "block" for event in timeline.events)
