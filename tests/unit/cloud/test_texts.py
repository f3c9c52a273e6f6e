"""Completions, scores and tokens over the wire against the same model in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ianvs_collab.cloud.client.server import CloudServer
from ianvs_collab.cloud.errors import CloudError, LimitError
from ianvs_collab.cloud.server.limits import CHARACTERS_PER_TOKEN, Limits
from ianvs_collab.modelserver import ModelServer, ModelServerError, ModelTimeoutError, SamplingParams, open_stepper

CHAT = [{"role": "user", "content": "What is the capital of France?"}]
PROMPTS = [CHAT, "The capital of France is", [{"role": "user", "content": "What is 17 + 25?"}]]


def same(found: Any, expected: Any) -> None:
    for name in ("text", "token_ids", "prompt_tokens", "completion_tokens", "finish_reason"):
        assert getattr(found, name) == getattr(expected, name)


@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(max_tokens=12),
        SamplingParams(max_tokens=1, logprobs=True),
        SamplingParams(max_tokens=16, temperature=0.8, top_k=20, top_p=0.9, seed=7),
        SamplingParams(max_tokens=30, stop=("is", "7")),
    ],
    ids=["greedy", "one token", "sampled", "stop"],
)
def test_a_completion_is_that_of_the_model(remote: CloudServer, local: ModelServer, params: SamplingParams) -> None:
    for prompt in PROMPTS:
        found, expected = remote.generate(prompt, params), local.generate(prompt, params)
        same(found, expected)
        assert len(found.token_times) == found.completion_tokens
        assert list(found.token_times) == sorted(found.token_times)
        assert found.duration is not None
        assert found.token_times[-1] <= found.duration
        assert (found.logprobs is None) == (expected.logprobs is None)
        if found.logprobs and expected.logprobs:
            assert found.logprobs == pytest.approx(expected.logprobs, abs=1e-4)


def test_tokens_arrive_one_by_one(remote: CloudServer) -> None:
    generation, cost = remote.generate_costed(CHAT, SamplingParams(max_tokens=20))
    assert len(set(generation.token_times)) > 1
    assert 0 < cost.compute_s < cost.elapsed_s == generation.duration
    assert cost.received_bytes > 20 * generation.completion_tokens
    assert (generation.compute_s, generation.link_bytes) == (cost.compute_s, (cost.sent_bytes, cost.received_bytes))


def test_a_worker_plays_a_slower_machine(
    serve: Any, connect: Callable[..., CloudServer], local: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = connect(serve(slowdown=5.0).address)
    slept: list[float] = []
    monkeypatch.setattr("ianvs_collab.cloud.server.compute.time.sleep", slept.append)
    with server.stepper().open() as session:
        session.step([1, 2, 3])
        assert session.cost is not None
        assert slept[-1] == pytest.approx(4 * session.cost.compute_s, rel=0.2)
    assert server.info.extra["worker_slowdown"] == 5.0
    for wrong in (0.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="slowdown must be 1 or more"):
            serve(slowdown=wrong)


def test_a_batch_is_answered_in_order(remote: CloudServer, local: ModelServer) -> None:
    params = SamplingParams(max_tokens=5)
    for found, prompt in zip(remote.generate_batch(PROMPTS, params), PROMPTS, strict=True):
        same(found, local.generate(prompt, params))
    assert remote.generate_batch([]) == []


def test_the_model_is_the_one_on_the_worker(remote: CloudServer, local: ModelServer) -> None:
    info, own = remote.info, local.info
    assert info.backend == "cloud"
    for name in ("model", "revision", "dtype", "parameters", "remote_code", "footprint"):
        assert getattr(info, name) == getattr(own, name)
    assert info.extra["worker_backend"] == "transformers"
    assert info.extra["context_length"] == own.extra["context_length"]


def test_a_score_is_the_sum_of_log_probabilities(remote: CloudServer, local: ModelServer) -> None:
    stepper = open_stepper(local)
    prompt = stepper.encode(CHAT)
    for continuation in ([5], [9, 8, 7], [3] * 150):
        with stepper.open() as session:
            rows = session.step([*prompt, *continuation])[len(prompt) - 1 : -1].log_softmax(-1)
        expected = rows[torch.arange(len(continuation)), torch.tensor(continuation)]
        logprobs, greedy = remote.score(CHAT, continuation)
        assert logprobs == pytest.approx(expected.tolist(), abs=1e-4)
        assert greedy == (rows.argmax(-1).tolist() == continuation)
    best = local.generate(CHAT, SamplingParams(max_tokens=70, logprobs=True))
    logprobs, greedy = remote.score(CHAT, best.token_ids or ())
    assert greedy
    assert logprobs == pytest.approx(best.logprobs, abs=1e-4)
    assert not remote.score(CHAT, [*(best.token_ids or ())[:-1], 1])[1]


def test_what_cannot_be_scored(remote: CloudServer, local: ModelServer) -> None:
    with pytest.raises(CloudError, match="there is nothing to score; give the tokens of a continuation"):
        remote.score(CHAT, [])
    with pytest.raises(CloudError, match="token 99999 is not in the vocabulary, whose ids are 0 to"):
        remote.score(CHAT, [99_999])
    with pytest.raises(ModelServerError, match="but the context is"):
        remote.score(CHAT, [1] * (open_stepper(local).context or 0))


def test_what_the_model_refuses_is_refused_in_its_words(remote: CloudServer, local: ModelServer) -> None:
    for prompt, params in ((CHAT, SamplingParams(max_tokens=10_000)), ("", SamplingParams())):
        said = []
        for server in (remote, local):
            with pytest.raises(ModelServerError) as told:
                server.generate(prompt, params)
            said.append(str(told.value))
        assert said[0] == said[1]


def test_a_closed_model_says_so(serve: Any, connect: Callable[..., CloudServer], local: ModelServer) -> None:
    class Closed:
        info, stepper = local.info, staticmethod(lambda: open_stepper(local))

        def close(self) -> None:
            """Nothing to release."""

    worker = serve(model=Closed())
    server = connect(worker.address)

    def closed(prompt: Any) -> Any:
        raise ModelServerError("model 'zoo:edge' is closed; load it again")

    worker.host.stepper = dataclasses.replace(worker.host.stepper, tokenise=closed)
    with pytest.raises(ModelServerError, match="is closed; load it again"):
        server.generate(CHAT)


@pytest.mark.parametrize(
    "prompt",
    [
        5,
        None,
        [],
        {},
        [{}],
        [{"role": "user"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": "a", "more": "b"}],
        ["a"],
        [True],
        [1, "a"],
    ],
)
def test_what_is_no_prompt(raw: Any, worker: Any, prompt: Any) -> None:
    from ianvs_collab.cloud.messages.texts import Encode

    stream = raw(worker.address)
    stream.say(Encode(prompt), 0)
    problem = stream.receive().message
    assert problem.code == "request"
    assert "a prompt is a text, a list of token ids, or a list of messages" in problem.text


@pytest.mark.parametrize(
    "params",
    [
        5,
        [],
        {"max_tokens": 0},
        {"max_tokens": "5"},
        {"max_tokens": 1.5},
        {"temperature": "hot"},
        {"stop": "text"},
        {"stop": [5]},
        {"surprise": 1},
        {"top_p": 2},
    ],
)
def test_what_are_no_sampling_parameters(raw: Any, worker: Any, params: Any) -> None:
    from ianvs_collab.cloud.messages.generation import Generate

    stream = raw(worker.address)
    stream.say(Generate("a", params), 0)
    problem = stream.receive().message
    assert problem.code == "request"
    assert "these are no sampling parameters (max_tokens, " in problem.text
    worker.settles()


def test_a_prompt_may_be_token_ids(raw: Any, worker: Any, local: ModelServer) -> None:
    from ianvs_collab.cloud.messages.generation import Completed, Generate

    tokens = open_stepper(local).encode(CHAT)
    stream = raw(worker.address)
    stream.say(Generate(tokens, {"max_tokens": 3}), 0)
    replies = [stream.receive() for _ in range(4)]
    assert [reply.frame.more for reply in replies] == [True, True, True, False]
    expected = local.generate(CHAT, SamplingParams(max_tokens=3))
    assert replies[-1].message == Completed(expected.text, len(tokens), expected.finish_reason)
    assert tuple(reply.message.tokens[0] for reply in replies[:-1]) == expected.token_ids


def test_prompts_are_limited_before_they_cost_anything(serve: Any, connect: Callable[..., CloudServer]) -> None:
    server = connect(serve(Limits(prompt_tokens=8)).address)
    stepper = server.stepper()
    with pytest.raises(LimitError, match="a request may bring 8 tokens, not 9; send two"):
        stepper.open().prefill([1] * 9)
    with pytest.raises(LimitError, match="a prompt may have 8 tokens, not 9; shorten it"):
        stepper.decode([1] * 9)
    with pytest.raises(LimitError, match="a prompt may have 8 tokens, not 60; shorten it"):
        server.generate("It is a long way to Tipperary, it is a long way to go" * 2)
    with pytest.raises(LimitError, match=f"a prompt may have {8 * CHARACTERS_PER_TOKEN} characters, not 129"):
        stepper.encode("a" * (8 * CHARACTERS_PER_TOKEN + 1))
    with pytest.raises(LimitError, match="characters"):
        stepper.encode([{"role": "user", "content": "a" * 70}] * 2)


def test_answers_are_limited_before_they_are_computed(serve: Any, connect: Callable[..., CloudServer]) -> None:
    worker = serve(Limits(reply_bytes=40_000))
    stepper = connect(worker.address).stepper()
    rows = 40_000 // (4 * stepper.vocabulary)
    with stepper.open(hidden=True) as session:
        session.step([1] * rows)
        for deed in (session.step, session.step_argmax, lambda tokens: session.step_top(tokens, 2)):
            with pytest.raises(LimitError, match="bytes, but may have 40000; step by fewer tokens"):
                deed([1] * (rows + 1))
        session.prefill([1] * 200)
        with pytest.raises(LimitError, match="longer than a reply may be, 40000 bytes; send fewer tokens"):
            session.hidden(0)
        assert session.length == rows + 200


def test_a_request_that_takes_too_long_is_given_up(serve: Any, connect: Callable[..., CloudServer]) -> None:
    worker = serve(Limits(request_s=0.15))
    server = connect(worker.address)
    with pytest.raises(ModelTimeoutError, match="the time allowed for the request is over"):
        for _ in range(40):  # one completion of so many tokens takes longer, unless this machine is very fast
            server.generate(CHAT, SamplingParams(max_tokens=480, temperature=1.0, seed=3, stop=("never",)))
    worker.settles()
