"""Sessions that share forward passes, against one pass over each whole text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig

from ianvs_collab.modelserver import ModelServerError, load_model
from ianvs_collab.modelserver.stepping import (
    Ledger,
    LedgerSession,
    Session,
    StepError,
    greedy,
    open_stepper,
    step_together,
)
from ianvs_collab.modelserver.stepping.together import cheapest
from ianvs_collab.zoo.export import test_questions as zoo_questions

VOCABULARY, CONTEXT = 40, 96
SHARING = [
    "llama",
    "gpt2",
    "qwen with a window in two layers",
    "mistral with a window",
    "gemma with a window in two layers",
]
ALONE = ["convolutions", "state space"]
TEXTS = [[3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 32, 38], [2, 7, 1], [8, 28, 18, 2, 8, 4, 5, 9, 0, 4]]


class Counting(LedgerSession):
    """A session of another back-end: its logits are the number of tokens so far."""

    def __init__(self, context: int = CONTEXT) -> None:
        super().__init__(Ledger("counting", VOCABULARY, context))

    def rollback(self, count: int) -> None:
        self._ledger.drop(count)

    def fork(self) -> Self:
        raise NotImplementedError

    def hidden(self, layer: int) -> torch.Tensor:
        raise NotImplementedError

    def close(self) -> None:
        self._ledger.close()

    def _append(self, tokens: Sequence[int], keep: int) -> torch.Tensor:
        self._ledger.check(tokens)
        self._ledger.append(tokens)
        return torch.arange(self.length - keep + 1.0, self.length + 1.0)[:, None].expand(-1, VOCABULARY)


def whole(model: Any, tokens: Sequence[int]) -> torch.Tensor:
    """Logits (tokens, vocabulary) by one pass without a cache."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0]


def close(found: torch.Tensor, expected: torch.Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def passes(model: Any) -> list[tuple[int, int]]:
    """Rows and columns of every pass from now on."""
    seen: list[tuple[int, int]] = []
    model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    return seen


def opened(stepper: Any, texts: Sequence[Sequence[int]] = TEXTS) -> list[Any]:
    sessions = [stepper.open() for _ in texts]
    for session, text in zip(sessions, texts, strict=True):
        session.prefill(text)
    return sessions


@pytest.fixture(scope="module", params=SHARING + ALONE, ids=str)
def model(request: pytest.FixtureRequest, make_model: Any) -> Any:
    return make_model(request.param)


@pytest.fixture
def llama(make_model: Any) -> Any:
    return make_model("llama")


TOKENS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=6)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("together"), st.dictionaries(st.integers(0, 3), TOKENS, min_size=1, max_size=4)),
        st.tuples(st.just("rollback"), st.tuples(st.integers(0, 3), st.integers(0, 9))),
        st.tuples(st.just("step"), st.tuples(st.integers(0, 3), TOKENS)),
        st.tuples(st.just("fork"), st.tuples(st.integers(0, 3), st.integers(0, 3))),
    ),
    max_size=10,
)


@settings(max_examples=15, deadline=None)
@given(deeds=DEEDS)
def test_any_order_of_deeds_gives_the_logits_of_one_pass(model: Any, make_stepper: Any, deeds: list) -> None:
    stepper = make_stepper(model)
    sessions: list[Session] = [stepper.open() for _ in range(4)]
    texts: list[list[int]] = [[], [], [], []]
    for deed, given_ in deeds:
        if deed == "together":
            found = step_together([sessions[which] for which in given_], list(given_.values()))
            for logits, (which, tokens) in zip(found, given_.items(), strict=True):
                texts[which] += tokens
                close(logits, whole(model, texts[which])[-len(tokens) :])
        elif deed == "rollback":
            which, count = given_
            count = min(count, len(texts[which]))
            sessions[which].rollback(count)
            del texts[which][len(texts[which]) - count :]
        elif deed == "step":
            which, tokens = given_
            texts[which] += tokens
            close(sessions[which].step(tokens), whole(model, texts[which])[-len(tokens) :])
        else:
            source, target = given_
            sessions[target], texts[target] = sessions[source].fork(), list(texts[source])
        assert [session.tokens for session in sessions] == [tuple(text) for text in texts]
    for logits, text in zip(step_together(sessions, [[1]] * 4), texts, strict=True):
        close(logits, whole(model, [*text, 1])[-1:])


@pytest.mark.parametrize("name", SHARING)
def test_texts_of_one_model_share_a_pass(make_model: Any, make_stepper: Any, name: str) -> None:
    model = make_model(name)
    sessions = opened(make_stepper(model))
    seen = passes(model)
    found = step_together(sessions, [[1, 2, 3], [4], [5, 6]])
    assert seen == [(3, 3)]
    for logits, text, tokens in zip(found, TEXTS, [[1, 2, 3], [4], [5, 6]], strict=True):
        assert logits.dtype == torch.float32
        close(logits, whole(model, [*text, *tokens])[-len(tokens) :])


@pytest.mark.parametrize("name", ALONE)
def test_models_with_a_recurrent_state_are_stepped_one_by_one(make_model: Any, make_stepper: Any, name: str) -> None:
    model = make_model(name)
    sessions = opened(make_stepper(model, context=None))
    seen = passes(model)
    step_together(sessions, [[1, 2], [4, 5], [6, 7]])
    assert [rows for rows, _ in seen] == [1, 1, 1]


def test_frequencies_that_follow_the_longest_text_are_not_shared(make_stepper: Any) -> None:
    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=12,
        initializer_range=0.3,
        rope_parameters=rope,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    sessions = opened(make_stepper(model))
    twins = [session.fork() for session in sessions]
    seen = passes(model)
    found = step_together(sessions, [[1], [2], [3]])
    assert [rows for rows, _ in seen] == [1, 1, 1]
    for twin, token, logits in zip(twins, [1, 2, 3], found, strict=True):
        close(twin.step([token]), logits)


def test_nothing_of_nothing_and_one_is_a_step(llama: Any, make_stepper: Any) -> None:
    assert step_together([], []) == []
    (session,) = opened(make_stepper(llama), TEXTS[:1])
    (logits,) = step_together([session], [[4, 5]])
    close(logits, whole(llama, [*TEXTS[0], 4, 5])[-2:])


def test_steppers_of_one_model_share_and_models_do_not(llama: Any, make_model: Any, make_stepper: Any) -> None:
    one, other = make_stepper(llama), make_stepper(make_model("gpt2"))
    again = type(one)(type(one.engine)(**vars(one.engine)), one.tokenise, None, one.end_tokens)
    sessions = [*opened(one, TEXTS[:1]), *opened(other, TEXTS[1:2]), *opened(again, TEXTS[2:])]
    seen = passes(llama)
    found = step_together(sessions, [[1], [2, 3], [4]])
    assert seen == [(2, 1)]
    close(found[0], whole(llama, [*TEXTS[0], 1])[-1:])
    close(found[1], whole(make_model("gpt2"), [*TEXTS[1], 2, 3])[-2:])
    close(found[2], whole(llama, [*TEXTS[2], 4])[-1:])


def test_a_session_of_another_back_end_takes_its_turn(llama: Any, make_stepper: Any) -> None:
    sessions = [*opened(make_stepper(llama), TEXTS[:2]), Counting()]
    seen = passes(llama)
    found = step_together([sessions[0], sessions[2], sessions[1]], [[1], [2, 3], [4, 5]])
    assert seen == [(2, 2)]
    assert found[1][:, 0].tolist() == [1.0, 2.0]
    close(found[0], whole(llama, [*TEXTS[0], 1])[-1:])
    close(found[2], whole(llama, [*TEXTS[1], 4, 5])[-2:])


def test_what_a_cache_lacks_is_fed_along(llama: Any, make_stepper: Any) -> None:
    sessions = opened(make_stepper(llama))
    sessions[0]._cache.clear()
    sessions[2]._cache.crop(4)
    seen = passes(llama)
    found = step_together(sessions, [[1], [2, 3], [4]])
    assert seen == [(3, 14)]
    for logits, text, tokens in zip(found, TEXTS, [[1], [2, 3], [4]], strict=True):
        close(logits, whole(llama, [*text, *tokens])[-len(tokens) :])
    assert [session._cache.length for session in sessions] == [session.length for session in sessions]


def test_a_session_holds_no_more_memory_than_its_own_text_needs(llama: Any, make_stepper: Any) -> None:
    sessions = opened(make_stepper(llama))
    step_together(sessions, [[1, 2, 3], [4], [5, 6]])
    for session in sessions:
        layers = session._cache.values.layers
        assert all(layer.keys.shape[2] == layer.values.shape[2] == session.length for layer in layers)
        storages = [tensor.untyped_storage() for layer in layers for tensor in (layer.keys, layer.values)]
        assert sum({one.data_ptr(): one.nbytes() for one in storages}.values()) == session._cache.nbytes()


def test_a_long_text_is_not_what_short_ones_are_padded_to(llama: Any, make_stepper: Any) -> None:
    sessions = opened(make_stepper(llama), [[9]] * 6)
    for session in sessions:
        session.rollback(1)
    seen = passes(llama)
    found = step_together(sessions, [[1], [1, 2], [3] * 80, [4], [5, 6], [7]])
    assert sorted(seen) == [(1, 80), (5, 2)]
    close(found[2], whole(llama, [3] * 80))
    close(found[4], whole(llama, [5, 6]))


@given(st.lists(st.integers(1, 300), max_size=7).map(sorted))
def test_the_split_into_passes_is_the_cheapest(lengths: list[int]) -> None:
    def cost(parts: list[list[int]]) -> int:
        return sum(64 + len(part) * part[-1] for part in parts)

    def splits(rest: list[int]) -> list[list[list[int]]]:
        if not rest:
            return [[]]
        return [[rest[:n], *more] for n in range(1, len(rest) + 1) for more in splits(rest[n:])]

    found = [lengths[part] for part in cheapest(lengths)]
    assert sum(found, []) == lengths
    assert cost(found) == min(map(cost, splits(lengths)))


def test_what_is_refused_leaves_all_sessions_as_they_were(llama: Any, make_stepper: Any) -> None:
    sessions = [*opened(make_stepper(llama)), Counting(), Counting(context=1)]
    lengths = [session.length for session in sessions]
    for given_, tokens, complaint in (
        (sessions[:2], [[1]], "2 sessions were given tokens for 1; give one list for each session"),
        ([sessions[0], sessions[0]], [[1], [2]], "a session was given twice"),
        (sessions[:3], [[1], [], [2]], "was given no tokens"),
        (sessions[:3], [[1], [VOCABULARY], [2]], "token 40 is not in the vocabulary"),
        (sessions[:3], [[1], [2], [3] * 90], "has 10 tokens, 90 more make 100, but the context is 96"),
        (sessions[2:], [[1], [2], [3, 4]], "2 more make 2, but the context is 1"),
        ([sessions[3], sessions[0], sessions[1]], [[1], [2], [VOCABULARY]], "token 40 is not in the vocabulary"),
    ):
        with pytest.raises(StepError, match=complaint):
            step_together(given_, tokens)
        assert [session.length for session in sessions] == lengths
    for logits, text in zip(step_together(sessions[:3], [[1]] * 3), TEXTS, strict=True):
        close(logits, whole(llama, [*text, 1])[-1:])


def test_a_closed_session_is_refused_and_the_others_go_on(llama: Any, make_stepper: Any) -> None:
    sessions = opened(make_stepper(llama))
    sessions[1].close()
    with pytest.raises(StepError, match="is closed; open another one"):
        step_together(sessions, [[1]] * 3)
    found = step_together([sessions[0], sessions[2]], [[1], [1]])
    close(found[1], whole(llama, [*TEXTS[2], 1])[-1:])


def test_a_pass_that_fails_half_way_leaves_the_sessions_as_they_were(llama: Any, make_stepper: Any) -> None:
    sessions = opened(make_stepper(llama))
    broken = RuntimeError("half way")

    def fail(*_: Any) -> None:
        raise broken

    hook = llama.model.layers[1].mlp.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="half way"):
        step_together(sessions, [[1, 2], [3], [4]])
    assert [list(session.tokens) for session in sessions] == TEXTS
    broken = torch.OutOfMemoryError("full")
    with pytest.raises(StepError, match="ran out of memory with 3 texts of up to 15 tokens in one forward pass"):
        step_together(sessions, [[1, 2], [3], [4]])
    hook.remove()
    for logits, text in zip(step_together(sessions, [[1]] * 3), TEXTS, strict=True):
        close(logits, whole(llama, [*text, 1])[-1:])


def test_hidden_states_are_those_of_one_pass(make_model: Any, make_stepper: Any) -> None:
    model = make_model("gemma with a window in two layers")
    stepper = make_stepper(model)
    sessions = [stepper.open(hidden=True), stepper.open(), stepper.open(hidden=True)]
    sessions[0].prefill(TEXTS[0])
    step_together(sessions, [[1, 2], TEXTS[1], TEXTS[2]])
    for session, text, count in ((sessions[0], [*TEXTS[0], 1, 2], 2), (sessions[2], TEXTS[2], len(TEXTS[2]))):
        with torch.inference_mode():
            expected = model(input_ids=torch.tensor([text]), output_hidden_states=True).hidden_states
        for layer in range(4):
            close(session.hidden(layer), expected[layer][0, -count:])
    with pytest.raises(StepError, match="keeps no hidden states"):
        sessions[1].hidden(0)


def test_logits_are_float32_in_every_precision(make_model: Any, make_stepper: Any) -> None:
    sessions = opened(make_stepper(make_model("llama").to(torch.bfloat16)))
    found = step_together(sessions, [[1, 2], [3], [4]])
    exact = whole(make_model("llama"), [*TEXTS[0], 1, 2])[-2:]
    assert [logits.dtype for logits in found] == [torch.float32] * 3
    torch.testing.assert_close(found[0], exact, atol=0.05 * float(exact.abs().max()), rtol=0)


def test_the_nano_cloud_model_answers_four_questions_at_once() -> None:
    server = load_model("transformers", "zoo:cloud")
    stepper = open_stepper(server)
    prompts = [stepper.encode([{"role": "user", "content": row.prompt}]) for row in zoo_questions()[:4]]
    sessions = opened(stepper, [prompt[:-1] for prompt in prompts])
    twins = [session.fork() for session in sessions]
    rows = [prompt[-1:] for prompt in prompts]
    completions: list[list[int]] = [[] for _ in prompts]
    for _ in range(10):
        found = step_together(sessions, rows)
        for twin, row, logits, completion in zip(twins, rows, found, completions, strict=True):
            close(logits, twin.step(row), atol=1e-5)
            completion.append(int(logits[-1].argmax()))
        rows = [completion[-1:] for completion in completions]
    for prompt, completion in zip(prompts, completions, strict=True):
        assert completion == greedy(stepper.open(), prompt, 10)
    server.close()
    with pytest.raises(ModelServerError, match="is closed; load it again"):
        step_together(sessions, rows)
