"""Sessions against one forward pass over the whole text, whatever was done on the way there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ianvs_collab.modelserver.stepping import Session, StepError
from ianvs_collab.modelserver.stepping.cache import SessionCache

VOCABULARY, CONTEXT = 40, 96
ARCHITECTURES = [
    "llama",
    "gpt2",
    "qwen with a window in two layers",
    "mistral with a window",
    "gemma with a window in two layers",
    "convolutions",
    "state space",
]
TEXT = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9, 32, 38]


def whole(model: Any, tokens: list[int] | tuple[int, ...]) -> torch.Tensor:
    """Logits (tokens, vocabulary) by one pass without a cache."""
    with torch.inference_mode():
        return model(input_ids=torch.tensor([list(tokens)]), use_cache=False).logits[0]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=str)
def model(request: pytest.FixtureRequest, make_model: Any) -> Any:
    return make_model(request.param)


@pytest.fixture
def llama(make_model: Any) -> Any:
    return make_model("llama")


TOKENS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=6)
DEEDS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.one_of(
            st.tuples(st.just("step"), TOKENS),
            st.tuples(st.just("prefill"), TOKENS),
            st.tuples(st.just("rollback"), st.integers(0, 9)),
            st.tuples(st.just("fork"), st.none()),
        ),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(deeds=DEEDS)
def test_any_order_of_deeds_gives_the_logits_of_one_pass(model: Any, make_stepper: Any, deeds: list) -> None:
    sessions: list[tuple[Session, list[int]]] = [(make_stepper(model).open(), [])]
    for which, (deed, given_) in deeds:
        session, text = sessions[which % len(sessions)]
        if deed == "fork":
            sessions.append((session.fork(), list(text)))
        elif deed == "rollback":
            count = min(given_, len(text))
            session.rollback(count)
            del text[len(text) - count :]
        else:
            logits = getattr(session, deed)(given_)
            text += given_
            expected = whole(model, text)[-len(given_) :]
            close(logits, expected if deed == "step" else expected[-1])
        assert session.tokens == tuple(text)
    for session, text in sessions:
        assert (session.length, session.tokens) == (len(text), tuple(text))
        close(session.step([1]), whole(model, [*text, 1])[-1:])


def test_the_sliding_windows_of_the_tests_do_hide_tokens(make_model: Any) -> None:
    for name in ARCHITECTURES[2:5]:
        model = make_model(name)
        hidden, far = whole(model, [1, *TEXT]), whole(model, [2, *TEXT])
        model.config.sliding_window, before = 1000, model.config.sliding_window
        for layer in model.model.layers:
            layer.self_attn.sliding_window = 1000 if getattr(layer.self_attn, "sliding_window", None) else None
        assert before < len(TEXT)
        assert not torch.allclose(whole(model, [1, *TEXT]), hidden, atol=1e-4)
        assert not torch.allclose(hidden, far, atol=1e-6)


@pytest.mark.parametrize("name", ARCHITECTURES[:5])
def test_a_rollback_keeps_the_cache(make_model: Any, make_stepper: Any, name: str) -> None:
    model = make_model(name)
    seen: list[int] = []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True)
    session = make_stepper(model).open()
    session.prefill(TEXT)
    session.rollback(10)
    session.rollback(1)
    session.step([1, 2])
    session.fork().step([3])
    assert seen == [len(TEXT), 2, 1]


def test_without_a_cache_to_crop_the_text_is_computed_again(make_model: Any, make_stepper: Any) -> None:
    model = make_model("convolutions")
    seen: list[int] = []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape[1]), with_kwargs=True)
    session = make_stepper(model).open()
    session.prefill(TEXT)
    session.step([1])
    session.rollback(2)
    session.step([2])
    session.step([3])
    assert seen == [13, 1, 13, 1]


def test_nothing_rolled_back_is_nothing_computed_again(make_model: Any, make_stepper: Any) -> None:
    session = make_stepper(make_model("convolutions")).open()
    session.prefill(TEXT)
    session.rollback(0)
    assert session._cache.length == len(TEXT)


def test_what_is_refused_leaves_the_session_as_it_was(llama: Any, make_stepper: Any) -> None:
    session = make_stepper(llama, context=16).open()
    session.prefill(TEXT)
    for deed, given_, complaint in (
        (session.step, [], "was given no tokens"),
        (session.prefill, (), "was given no tokens"),
        (session.step, [5, VOCABULARY], r"token 40 is not in the vocabulary of model 'tiny', whose ids are 0 to 39"),
        (session.step, [-1], "token -1 is not in the vocabulary"),
        (session.step, [1] * 4, "has 13 tokens, 4 more make 17, but the context is 16"),
        (session.rollback, 14, "cannot be rolled back by 14: it has 13 tokens; give a number from 0 to 13"),
        (session.rollback, -1, "cannot be rolled back by -1"),
    ):
        with pytest.raises(StepError, match=complaint):
            deed(given_)
        assert session.tokens == tuple(TEXT)
    close(session.step([1, 2, 3]), whole(llama, [*TEXT, 1, 2, 3])[-3:])
    assert session.length == 16


def test_a_model_without_a_limit_has_none(make_model: Any, make_stepper: Any) -> None:
    session = make_stepper(make_model("state space"), context=None).open()
    session.prefill([1] * 200)
    assert session.length == 200


@pytest.mark.parametrize("deed", ["step", "prefill", "rollback", "fork", "hidden"])
def test_a_closed_session_does_nothing(llama: Any, make_stepper: Any, deed: str) -> None:
    with make_stepper(llama).open(hidden=True) as session:
        session.prefill(TEXT)
        twin = session.fork()
    session.close()
    arguments = {"step": [[1]], "prefill": [[1]], "rollback": [0], "fork": [], "hidden": [0]}[deed]
    with pytest.raises(StepError, match="session of model 'tiny' is closed; open another one"):
        getattr(session, deed)(*arguments)
    assert session._cache.nbytes() == 0
    close(twin.step([1]), whole(llama, [*TEXT, 1])[-1:])


def test_a_pass_that_fails_half_way_leaves_the_session_as_it_was(llama: Any, make_stepper: Any) -> None:
    session = make_stepper(llama).open()
    session.prefill(TEXT)
    broken = RuntimeError("half way")

    def fail(*_: Any) -> None:
        raise broken

    hook = llama.model.layers[1].mlp.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="half way"):
        session.step([1, 2])
    assert session.tokens == tuple(TEXT)
    broken = torch.OutOfMemoryError("full")
    with pytest.raises(StepError, match="ran out of memory with 15 tokens; close other sessions"):
        session.step([1, 2])
    hook.remove()
    close(session.step([4]), whole(llama, [*TEXT, 4])[-1:])


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma with a window in two layers", "convolutions"])
def test_hidden_states_are_those_of_one_pass(make_model: Any, make_stepper: Any, name: str) -> None:
    model = make_model(name)
    stepper = make_stepper(model)
    session = stepper.open(hidden=True)
    session.prefill(TEXT[:6])
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([TEXT]), output_hidden_states=True).hidden_states
    assert stepper.layers == 3 and len(expected) == 4
    for layer in range(4):
        close(session.hidden(layer), expected[layer][0, :6])
    session.step(TEXT[6:])
    for layer in range(4):
        close(session.hidden(layer), expected[layer][0, 6:])
    twin = session.fork()
    session.rollback(3)
    close(session.hidden(2), expected[2][0, 6:10])
    close(twin.hidden(2), expected[2][0, 6:])
    head = model.get_output_embeddings()
    with torch.inference_mode():
        close(head(twin.hidden(3)), whole(model, TEXT)[6:])


def test_hidden_states_that_are_not_there(llama: Any, make_stepper: Any) -> None:
    stepper = make_stepper(llama)
    session = stepper.open()
    session.prefill(TEXT)
    with pytest.raises(StepError, match=r"keeps no hidden states; open it with `open\(hidden=True\)`"):
        session.hidden(0)
    session = stepper.open(hidden=True)
    with pytest.raises(StepError, match="nothing was appended yet, or all of it was rolled back"):
        session.hidden(0)
    session.prefill(TEXT)
    for layer in (-1, 4):
        with pytest.raises(StepError, match=rf"model 'tiny' has no layer {layer}; give 0 \(embeddings\) to 3"):
            session.hidden(layer)
    session.step([1, 2])
    session.rollback(2)
    with pytest.raises(StepError, match="all of it was rolled back"):
        session.hidden(1)


def test_logits_are_float32_whatever_the_precision(make_model: Any, make_stepper: Any) -> None:
    model = make_model("llama").to(torch.bfloat16)
    session = make_stepper(model).open(hidden=True)
    assert session.prefill(TEXT).dtype == torch.float32
    found = session.step([1, 2, 3])
    assert (found.dtype, found.shape, session.hidden(1).dtype) == (torch.float32, (3, VOCABULARY), torch.bfloat16)
    exact = whole(make_model("llama"), [*TEXT, 1, 2, 3])[-3:]
    torch.testing.assert_close(found, exact, atol=0.05 * float(exact.abs().max()), rtol=0)


def test_the_bytes_of_a_cache(llama: Any) -> None:
    cache = SessionCache(llama.config)
    assert cache.nbytes() == 0
    with torch.inference_mode():
        llama(input_ids=torch.tensor([TEXT]), past_key_values=cache.values, use_cache=True)
    # layers · (keys and values) · key heads · tokens · head size · bytes
    assert cache.nbytes() == 3 * 2 * 2 * len(TEXT) * 4 * 4
