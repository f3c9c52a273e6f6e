"""Routing that keeps personal data at home: what is decided, what is sent, and what is counted."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ianvs_collab.inference import Answer, CloudParticipant, EdgeParticipant, Query
from ianvs_collab.metrics import plugins
from ianvs_collab.modelserver.types import SamplingParams
from ianvs_collab.privacy import PrivacyError, make_detector
from ianvs_collab.routing import CloudOnly, ConfidenceRouter, EdgeOnly, RouterError
from ianvs_collab.routing.private import PrivateRouter

GREEDY = SamplingParams(logprobs=True)
MAIL, CARD, PERSON = "ann@example.org", "4111 1111 1111 1111", "James Smith"
CHOICES = {"A": "Rome", "B": "Paris"}


def ask(text: str = "Capital?", chat: bool = True) -> Query:
    query = Query(query_id="q", query=text, choices=CHOICES)
    if chat:
        query["messages"] = [{"role": "system", "content": "Be short."}, {"role": "user", "content": text}]
    return query


def private(mode: str, **arguments: Any) -> PrivateRouter:
    return PrivateRouter(CloudOnly(), mode=mode, **arguments)  # type: ignore[arg-type]


def rates(answers: list[Answer]) -> tuple[float | None, float | None]:
    found, leaked = (plugins("privacy")[name] for name in ("PII Rate", "Leaked PII Rate"))
    return found([], answers), leaked([], answers)


@pytest.mark.parametrize("chat", [True, False])
def test_watching_counts_what_crosses_and_changes_nothing(scripted: Any, chat: bool) -> None:
    server, query = scripted("Paris"), ask(f"Ask {MAIL} or {CARD}", chat)
    assert private("watch")(query)
    answer = CloudParticipant(server, GREEDY).answer(query)
    assert answer["pii"] == {"found": 2, "sent": 2}
    assert server.asked[0][0][-1]["content"] == f"Ask {MAIL} or {CARD}"
    assert rates([answer]) == (100, 100)


def test_keeping_decides_only_what_holds_personal_data(scripted: Any) -> None:
    router = private("keep")
    with_some, without = ask(f"Who is {MAIL}?"), ask()
    assert not router(with_some)
    assert router(without)
    kept = EdgeParticipant(scripted("Paris"), GREEDY).answer(with_some)
    sent = CloudParticipant(scripted("Paris"), GREEDY).answer(without)
    assert kept["pii"] == {"found": 1, "sent": 0}
    assert sent["pii"] == {"found": 0, "sent": 0}
    assert rates([kept, sent]) == (50, 0)


def test_keeping_never_sends_what_the_other_router_keeps() -> None:
    assert not PrivateRouter(EdgeOnly(), mode="keep")(ask())


@pytest.mark.parametrize("chat", [True, False])
def test_redacting_sends_placeholders_and_puts_the_values_back(scripted: Any, chat: bool) -> None:
    server = scripted("[NAME_1] of [EMAIL_1] lives in Paris.")
    query = ask(f"Where does {PERSON} ({MAIL}) live?", chat)
    assert private("redact")(query)
    answer = CloudParticipant(server, GREEDY, chat=chat).answer(query)
    prompt = server.asked[0][0]
    assert (prompt[-1]["content"] if chat else prompt) == "Where does [NAME_1] ([EMAIL_1]) live?"
    assert answer["completion"] == f"{PERSON} of {MAIL} lives in Paris."
    assert answer["answer"] == "B"
    assert answer["pii"] == {"found": 2, "sent": 0}
    assert answer["link"]["uplink_bytes"] > 0


def test_what_stays_at_the_edge_is_not_redacted(scripted: Any) -> None:
    server, query = scripted("Paris"), ask(f"Who is {MAIL}?")
    assert not PrivateRouter(EdgeOnly(), mode="redact")(query)
    assert EdgeParticipant(server, GREEDY).answer(query)["pii"] == {"found": 1, "sent": 0}
    assert MAIL in server.asked[0][0][-1]["content"]


def test_kinds_that_are_not_acted_upon_are_counted_all_the_same(scripted: Any) -> None:
    query = ask(f"{MAIL} paid with {CARD}")
    assert private("redact", kinds=["EMAIL"])(query)
    answer = CloudParticipant(scripted("Paris"), GREEDY).answer(query)
    assert answer["pii"] == {"found": 2, "sent": 1}
    assert rates([answer]) == (100, 100)
    assert private("keep", kinds=["EMAIL"])(ask(f"paid with {CARD}"))


def test_a_list_of_names_is_looked_for(tmp_path: Any) -> None:
    names = tmp_path / "patients.txt"
    names.write_text("Zaphod Quux\n", encoding="utf-8")
    assert private("keep")(ask("What ails Zaphod Quux?"))
    assert not private("keep", names=str(names))(ask("What ails Zaphod Quux?"))


def test_a_kept_answer_of_a_cascade_says_that_nothing_was_sent(scripted: Any) -> None:
    router = PrivateRouter("ConfidenceRouter", mode="watch", confidence=0.5)
    edge = EdgeParticipant(scripted("Paris", logprobs=(-0.1,)), GREEDY)
    query = ask(f"Who is {MAIL}?")
    original = edge.answer(query)
    shown = copy.deepcopy(original)
    assert not router(shown)
    assert original["pii"] == shown["pii"] == {"found": 1, "sent": 0}


def test_a_cascade_that_goes_on_redacts_what_it_sends(scripted: Any) -> None:
    router = PrivateRouter("ConfidenceRouter", mode="redact", confidence=0.99)
    query = ask(f"Who is {MAIL}?")
    shown = copy.deepcopy(EdgeParticipant(scripted("Rome", logprobs=(-3.0,)), GREEDY).answer(query))
    assert router(shown)
    answer = CloudParticipant(scripted("Paris"), GREEDY).answer(query)
    assert answer["pii"] == {"found": 1, "sent": 0}


def test_recorded_answers_are_noted_too() -> None:
    answer = Answer({"outcome": "ok", "logprobs": [-0.01]}, ask(f"Who is {MAIL}?"))
    assert not PrivateRouter(ConfidenceRouter(0.5), mode="keep")(answer)
    assert answer["pii"] == {"found": 1, "sent": 0}


def test_the_search_is_on_the_timeline() -> None:
    query = ask(f"Who is {MAIL}?")
    private("redact")(query)
    assert [span["label"] for span in query.timeline.to_dict()["spans"]] == ["privacy", "route", "privacy"]


def test_a_bare_prompt_is_routed() -> None:
    assert private("keep")("Capital?")
    assert not private("keep")(f"Who is {MAIL}?")


def test_scores_are_the_other_routers_and_minus_infinity_for_what_is_kept() -> None:
    answers = [Answer({"outcome": "ok", "logprobs": [-1.0]}, ask(text)) for text in ("Capital?", f"Who is {MAIL}?")]
    plain = ConfidenceRouter().scores(answers)
    assert PrivateRouter(ConfidenceRouter(), mode="keep").scores(answers).tolist() == [plain[0], -np.inf]
    assert PrivateRouter(ConfidenceRouter(), mode="redact").scores(answers).tolist() == plain.tolist()
    assert PrivateRouter(ConfidenceRouter(), mode="keep").score(answers[1]) == -np.inf


WORDS = st.sampled_from([MAIL, CARD, PERSON, "王伟", "13800138000", "the", "capital", "[EMAIL_1]", "?", "is", "of"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, min_size=1, max_size=8))
def test_nothing_that_the_rules_find_leaves_redacted(scripted: Any, words: list[str]) -> None:
    server, query = scripted("Paris"), ask(" ".join(words))
    assert private("redact")(query)
    answer = CloudParticipant(server, GREEDY).answer(query)
    assert answer["pii"]["sent"] == 0
    sent = [message["content"] for message in server.asked[0][0]]
    assert [make_detector().find(text) for text in sent] == [[] for _ in sent]
    assert query.guard is not None
    assert query.guard.restore(sent[-1]) == " ".join(words)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mode": "hide"}, RouterError, "mode must be 'watch', 'keep' or 'redact', not 'hide'"),
        ({"router": "Router"}, RouterError, "Router cannot be made"),
        ({"router": "ConfidentRouter"}, RouterError, "there is no router 'ConfidentRouter' to be wrapped"),
        ({"router": "PrivateRouter"}, RouterError, "there is no router 'PrivateRouter' to be wrapped"),
        ({"router": "threshold_for_share"}, RouterError, "there is no router 'threshold_for_share'"),
        ({"confidense": 0.5}, RouterError, "ConfidenceRouter cannot be made: .*confidense"),
        ({"detector": "regex"}, PrivacyError, "there is no detector 'regex'"),
        ({"kinds": ["MAIL"]}, PrivacyError, "no rule finds the kind 'MAIL'"),
        ({"names": "nowhere.txt"}, PrivacyError, "names file 'nowhere.txt'"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PrivateRouter(**arguments)


def test_without_a_privacy_router_nothing_is_searched(scripted: Any) -> None:
    assert "pii" not in CloudParticipant(scripted("Paris"), GREEDY).answer(ask(f"Who is {MAIL}?"))
