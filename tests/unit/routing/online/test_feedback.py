from __future__ import annotations

import copy
import gc
import pickle
from types import SimpleNamespace

import pytest

from ianvs_collab.inference import Answer, EdgeParticipant, Query
from ianvs_collab.modelserver.types import Generation, ModelInfo, SamplingParams
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.online import FeedbackQueryProcessor
from ianvs_collab.routing.online.feedback import FeedbackQuery

GOLD = "the-right-answer-itself"


def data(golds=("A", "B", "C")):
    texts = [f"question {number}\nA. yes\nB. no" for number in range(len(golds))]
    return SimpleNamespace(x=texts, y=list(golds), dataset_name="toy")


def queries(golds=("A", "B", "C"), **settings) -> list[FeedbackQuery]:
    return FeedbackQueryProcessor(**settings)(data(golds)).x


def answer(query, letter, outcome="ok"):
    return Answer({"answer": letter, "outcome": outcome, "completion": ""}, query)


class Server:
    """Says the same to everybody."""

    info = ModelInfo(model="toy", backend="toy")

    def generate(self, prompt, params, *, query_id=None):
        return Generation(text="A", prompt_tokens=3, completion_tokens=1, token_times=(0.01,), finish_reason="stop")


def test_a_user_tells_whether_the_shown_answer_is_right():
    right, wrong, unread = queries()
    right.user.see(answer(right, "A"))
    wrong.user.see(answer(wrong, "A"))
    unread.user.see(answer(unread, None, "unparsed"))
    assert [query.user.feedback() for query in (right, wrong, unread)] == [1.0, 0.0, 0.0]


def test_a_user_speaks_once():
    query = queries()[0]
    assert query.user.feedback() is None  # nothing was shown yet
    query.user.see(answer(query, "B"))
    assert query.user.feedback() == 0.0
    for letter in "ABCD":  # trying them all does not help
        query.user.see(answer(query, letter))
        assert query.user.feedback() is None


def test_the_last_of_several_answers_counts():
    query = queries()[0]
    query.user.see(answer(query, "B"))
    query.user.see(answer(query, "A"))
    assert query.user.feedback() == 1.0


@pytest.mark.parametrize("outcome", ["error", "timeout"])
def test_a_user_who_got_no_answer_says_nothing(outcome):
    query = queries()[0]
    query.user.see(answer(query, "A", outcome))
    assert not query.user.waiting
    assert query.user.feedback() is None


def test_a_participants_answer_is_shown_and_carries_how_it_was_routed():
    query = queries()[0]
    query.routing = {"action": 0, "propensity": 0.7}
    made = EdgeParticipant(Server(), SamplingParams()).answer(query)
    assert query.latest is not None and query.latest[1] is made
    assert made["routing"] == {"action": 0, "propensity": 0.7}
    assert query.user.feedback() == 1.0


def test_an_answer_to_a_query_that_nobody_routed_is_shown_too():
    query = queries()[0]
    assert "routing" not in EdgeParticipant(Server(), SamplingParams()).answer(query)
    assert query.user.feedback() == 1.0


def test_further_samples_of_a_query_are_not_shown():
    query = queries()[0]
    EdgeParticipant(Server(), SamplingParams()).generate(query)
    EdgeParticipant(Server(), SamplingParams()).answer(query.fresh())
    assert query.latest is None
    assert query.user.feedback() is None
    query.latest = None
    assert query.user.feedback() is None


def test_delay_counts_answers_to_other_queries():
    one, two, three = queries(delay=2)
    one.user.see(answer(one, "A"))
    assert one.user.waiting and one.user.feedback() is None
    two.user.see(answer(two, "B"))
    assert one.user.waiting
    three.user.see(answer(three, "C"))
    assert not one.user.waiting and one.user.feedback() == 1.0
    assert two.user.waiting


def test_noise_is_seeded():
    def said(seed):
        made = queries(["A"] * 60, flip=0.3, feedback_probability=0.5, seed=seed)
        for query in made:
            query.user.see(answer(query, "A"))
        return [query.user.feedback() for query in made]

    assert said(1) == said(1) != said(2)
    assert set(said(1)) == {None, 0.0, 1.0}


def reachable(root):
    """All objects that can be reached from one, classes and modules excepted."""
    seen, todo = {}, [root]
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, type) or type(item).__name__ in ("module", "function", "code"):
            continue
        seen[id(item)] = item
        todo.extend(gc.get_referents(item))
    return seen.values()


def test_the_right_answer_cannot_be_reached_from_a_query():
    query = queries([GOLD, "B"])[0]
    assert "gold" not in query
    found = [item for item in reachable(query) if isinstance(item, str | bytes)]
    assert query["query"] in found  # the search does look into queries
    for item in found:
        assert GOLD not in (item if isinstance(item, str) else item.decode("latin-1"))
    assert GOLD not in repr(query) + repr(query.user)


def test_a_user_cannot_be_copied_to_be_asked_again():
    query = queries()[0]
    assert copy.deepcopy(query).user is query.user
    assert copy.deepcopy(query.user) is query.user
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(query.user)
    assert type(query.fresh()) is Query


def test_queries_are_those_of_the_plain_processor():
    made = FeedbackQueryProcessor(system="be brief", extractor="last-answer", shots=0)(data()).x
    assert made[0]["messages"][0] == {"role": "system", "content": "be brief"}
    assert made[0]["extractor"] == "last-answer"
    assert made[0]["choices"] == {"A": "yes", "B": "no"}


def test_bad_settings():
    with pytest.raises(RouterError, match="flip"):
        FeedbackQueryProcessor(flip=2)
