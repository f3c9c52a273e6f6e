"""Baselines: transformers' assisted generation and its prompt lookup in the cloud, the answer streamed."""

from __future__ import annotations

from typing import Any

from ianvs_collab.inference import Answer, CloudParticipant, Participant, Query
from ianvs_collab.modelserver import SamplingParams, load_model, open_stepper
from ianvs_collab.speculative.errors import SpeculativeError
from ianvs_collab.speculative.ianvs.drafting import warm
from ianvs_collab.speculative.ianvs.selfdesign import SelfDesigned
from ianvs_collab.speculative.ianvs.target import current_target
from ianvs_collab.speculative.ianvs.transformers_server import AssistedServer, configure

_WARM_UP = SamplingParams(max_tokens=16)
SCHEDULES = ("constant", "heuristic", "heuristic_transient")


class AssistedParticipant(CloudParticipant):
    """The cloud, decoding by transformers' own loop; its answers tell of the drafts under `speculation`.

    Args:
        server: The target with its drafts.
        drafter: Name of the way it drafts.
        params: How to decode.
        chat: Whether to send the query as a chat.
    """

    def __init__(self, server: AssistedServer, drafter: str, params: SamplingParams, *, chat: bool = True) -> None:
        super().__init__(server, params, chat=chat)
        self._assisted, self._drafter = server, drafter

    def answer(self, query: Query) -> Answer:
        """Answer a query; see `Participant.answer`."""
        answer = super().answer(query)
        answer["speculation"] = {
            "drafter": self._drafter,
            "mode": "greedy" if self.params.greedy else "rejection",
            "pipelining": "synchronous",
            "place": "cloud",
            "rounds": self._assisted.rounds,
            "committed": answer["usage"]["completion_tokens"],
        }
        return answer


class TransformersAssisted(SelfDesigned):
    """`generate(assistant_model=...)` of transformers; what is left out is transformers' default.

    Args:
        draft_model: `zoo:edge`, a local checkpoint folder, or a hub name.
        draft_options: Options of the `transformers` back-end for it.
        draft_length: Tokens of a draft.
        confidence: Probability below which a draft ends, 0 to never end it; transformers adapts it as it goes.
        schedule: How the draft length changes: `constant`, `heuristic` or `heuristic_transient`.
        decoding: What all strategies take; see `SelfDesigned`.

    Raises:
        SpeculativeError: If a value is out of range.
    """

    def __init__(
        self,
        *,
        draft_model: str = "zoo:edge",
        draft_options: dict[str, Any] | None = None,
        draft_length: int = 20,
        confidence: float = 0.4,
        schedule: str = "constant",
        **decoding: Any,
    ) -> None:
        super().__init__(**decoding)
        if draft_length < 1 or not 0 <= confidence < 1 or schedule not in SCHEDULES:
            raise SpeculativeError(
                "draft_length is at least 1, confidence from 0 to below 1 and schedule one of "
                f"{', '.join(SCHEDULES)}, not {draft_length!r}, {confidence!r} and {schedule!r}"
            )
        self.draft_model, self.draft_options = draft_model, draft_options or {}
        self.draft_length, self.confidence, self.schedule = draft_length, confidence, schedule

    def _make(self) -> Participant:
        target = current_target()
        stepper = warm(target.stepper())
        draft = warm(open_stepper(self._keep(load_model("transformers", self.draft_model, **self.draft_options))))
        server = AssistedServer(target.server(), stepper, draft)
        configure(draft, length=self.draft_length, confidence=self.confidence, schedule=self.schedule)
        server.generate("a", _WARM_UP)  # with these settings, which load and compute more than others
        # Again, because transformers adapts what it is given.
        configure(draft, length=self.draft_length, confidence=self.confidence, schedule=self.schedule)
        return AssistedParticipant(server, "transformers-assistant", self.params, chat=self.chat)


class TransformersLookup(SelfDesigned):
    """`generate(prompt_lookup_num_tokens=...)` of transformers.

    Args:
        draft_length: Tokens of a draft.
        longest: Tokens of the longest n-gram that is looked up.
        decoding: What all strategies take; see `SelfDesigned`.

    Raises:
        SpeculativeError: If a number is below 1.
    """

    def __init__(self, *, draft_length: int = 10, longest: int = 2, **decoding: Any) -> None:
        super().__init__(**decoding)
        if draft_length < 1 or longest < 1:
            raise SpeculativeError(f"draft_length and longest are at least 1, not {draft_length!r} and {longest!r}")
        self.options: dict[str, Any] = {
            "prompt_lookup_num_tokens": draft_length,
            "max_matching_ngram_size": longest,
        }

    def _make(self) -> Participant:
        target = current_target()
        stepper = warm(target.stepper())
        server = AssistedServer(target.server(), stepper, **self.options)
        server.generate("a", _WARM_UP)
        return AssistedParticipant(server, "transformers-lookup", self.params, chat=self.chat)
