"""Token-level control of llama.cpp: any order of steps, rollbacks and forks gives what one pass over the text gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.modelserver import ModelServer, ModelServerError, SamplingParams, load_model
from ianvs_collab.modelserver.backends.llamacpp import load
from ianvs_collab.modelserver.stepping import StepError, greedy, open_stepper
from ianvs_collab.zoo.export import test_questions as nano_questions

pytestmark = pytest.mark.usefixtures("extra")
TOKENS = st.lists(st.integers(0, 1023), min_size=1, max_size=12)
DEEDS = st.one_of(
    st.tuples(st.just("step"), TOKENS),
    st.tuples(st.just("prefill"), TOKENS),
    st.tuples(st.just("rollback"), st.integers(0, 12)),
    st.tuples(st.just("fork"), st.booleans()),
)
NEAR = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def stepper(edge_server: ModelServer) -> Any:
    return open_stepper(edge_server)


@pytest.fixture(scope="module")
def holder(stepper: Any) -> list[Any]:
    """The stepper and that of transformers, in a form that hypothesis does not print."""
    return [stepper, open_stepper(load_model("transformers", "zoo:edge"))]


def test_greedy_stepping_is_what_generate_gives(edge_server: ModelServer, stepper: Any) -> None:
    params = SamplingParams(max_tokens=24)
    for question in nano_questions()[:50]:
        with stepper.open() as session:
            chosen = greedy(session, stepper.encode(question.prompt), 24, stepper.end_tokens)
        expected = edge_server.generate(question.prompt, params)
        assert tuple(chosen) == expected.token_ids
        ended = chosen[:-1] if chosen[-1] in stepper.end_tokens else chosen
        assert stepper.decode(ended) == expected.text


@settings(max_examples=40, deadline=None)
@given(st.lists(DEEDS, max_size=12), TOKENS)
def test_any_order_gives_the_logits_of_one_pass(holder: list, deeds: list, last: list[int]) -> None:
    session, text, left = holder[0].open(), [], []
    for deed, value in deeds:
        match deed:
            case "step":
                assert session.step(value).shape == (len(value), 1024)
                text = text + value
            case "prefill":
                assert session.prefill(value).shape == (1024,)
                text = text + value
            case "rollback":
                count = min(value, len(text))
                session.rollback(count)
                text = text[: len(text) - count]
            case "fork":
                other = session.fork()
                left.append((session, text) if value else (other, text))
                session = other if value else session
    assert session.tokens == tuple(text) and session.length == len(text)
    for each, tokens in [*left, (session, text)]:
        whole = torch.tensor(tokens + last)
        with holder[1].open() as reference:
            expected = reference.step(whole.tolist())[-len(last) :]
        torch.testing.assert_close(each.step(last), expected, **NEAR)
        each.close()


def test_what_the_stepper_tells(stepper: Any) -> None:
    assert (stepper.vocabulary, stepper.context, stepper.layers) == (1024, 512, 2)
    assert stepper.end_tokens == {0}
    assert stepper.decode(stepper.encode("Die Straße 问题")) == "Die Straße 问题"


def test_what_a_session_refuses_leaves_it_as_it_was(stepper: Any) -> None:
    session = stepper.open()
    session.prefill([5, 6, 7])
    for wrong, complaint in (
        (lambda: session.step([]), "no tokens"),
        (lambda: session.step([1024]), "token 1024 is not in the vocabulary"),
        (lambda: session.step([1] * 510), "the context is 512"),
        (lambda: session.rollback(4), "cannot be rolled back by 4"),
        (lambda: session.hidden(0), "'llamacpp' gives no hidden states.*backend: transformers"),
        (lambda: stepper.open(hidden=True), "gives no hidden states"),
    ):
        with pytest.raises(StepError, match=complaint):
            wrong()
    fresh = stepper.open()
    fresh.prefill([5, 6, 7])
    assert torch.equal(session.step([8, 9]), fresh.step([8, 9]))
    session.close()
    with pytest.raises(StepError, match="is closed"):
        session.step([5])


def test_a_session_may_fill_the_context_and_go_back(stepper: Any) -> None:
    session = stepper.open()
    tokens = [3 + i % 1000 for i in range(512)]
    full = session.step(tokens)
    session.rollback(100)
    torch.testing.assert_close(session.step(tokens[412:]), full[412:], **NEAR)


def fails(*_: Any) -> int:
    return 1


def test_a_failing_pass_leaves_the_text_as_it_was(edge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = load(str(edge), kv_precision="f32")
    session = open_stepper(server).open()
    session.prefill([5, 6, 7])
    with monkeypatch.context() as broken:
        broken.setattr(session._context._api, "llama_decode", fails)
        with pytest.raises(StepError, match=r"llama\.cpp failed on 2 tokens after 3 \(llama_decode: 1\)"):
            session.step([8, 9])
        with pytest.raises(ModelServerError, match="failed on"):
            server.generate("A")
    assert session.tokens == (5, 6, 7)
    whole = open_stepper(server).open().step([5, 6, 7, 8])
    torch.testing.assert_close(session.step([8])[0], whole[-1], **NEAR)


def test_a_memory_that_cannot_be_cut_or_copied(edge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_stepper(load(str(edge))).open()
    session.prefill([5, 6, 7])
    api = session._context._api
    with monkeypatch.context() as recurrent:
        recurrent.setattr(api, "llama_memory_seq_rm", lambda *_: False)
        with pytest.raises(StepError, match="cannot be cut in the middle"):
            session.rollback(1)
        assert session.tokens == (5, 6, 7)
        session.rollback(3)
        assert session.tokens == ()
    session.prefill([5])
    with monkeypatch.context() as full:
        full.setattr(api, "llama_state_seq_set_data", lambda *_: 0)
        with pytest.raises(StepError, match="cannot copy a text of 1 tokens"):
            session.fork()


def test_a_hundred_sessions_are_independent(stepper: Any) -> None:
    sessions = [stepper.open() for _ in range(100)]
    for at, session in enumerate(sessions):
        session.prefill([3 + at, 4 + at])
    single = stepper.open()
    single.prefill([3 + 50, 4 + 50])
    assert torch.equal(sessions[50].step([9]), single.step([9]))
    for session in sessions:
        session.close()


def test_sessions_that_are_dropped_give_their_memory_back(make_llama: Callable[..., Path], converted: Any) -> None:
    import gc

    import psutil

    stepper = open_stepper(load(str(converted("zoo:cloud", "f32")), kv_precision="f32"))
    process = psutil.Process()

    def use(count: int) -> int:
        for _ in range(count):
            stepper.open().prefill([5, 6, 7])
        gc.collect()
        return process.memory_info().rss

    before = use(20)
    assert use(200) - before < 100e6  # 200 caches of 12 layers and 512 tokens would be 1.2 GB
