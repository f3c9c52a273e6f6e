"""The step interface of the transformers back-end: greedy decoding as by `generate()`, and what a stepper tells."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from ianvs_collab.modelserver import ModelInfo, ModelServerError, SamplingParams, load_model
from ianvs_collab.modelserver.stepping import Steppable, Stepper, greedy, open_stepper
from ianvs_collab.zoo.export import test_questions as nano_questions

ZOO = Path(__file__).parents[4] / "src" / "ianvs_collab" / "zoo" / "weights"
TOKENS = 24


def reference(model: Any, prompt: list[int]) -> list[int]:
    """Completion by transformers' own `generate()`."""
    ids = torch.tensor([prompt])
    output = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False, pad_token_id=1
    )
    return output[0, len(prompt) :].tolist()


@pytest.mark.parametrize(("name", "count"), [("edge", 204), ("cloud", 18)])
def test_greedy_decoding_of_the_nano_models_is_that_of_generate(name: str, count: int) -> None:
    stepper = open_stepper(load_model("transformers", f"zoo:{name}"))
    model = AutoModelForCausalLM.from_pretrained(ZOO / name, dtype=torch.float32).eval()
    different = []
    for question in nano_questions()[:count]:
        prompt = stepper.encode([{"role": "user", "content": question.prompt}])
        with stepper.open() as session:
            found = greedy(session, prompt, TOKENS, stepper.end_tokens)
            assert session.tokens == (*prompt, *found[:-1])
        expected = reference(model, prompt)
        if found != expected:
            different.append((question.prompt, found, expected))
    assert not different


@pytest.mark.parametrize("kind", ["checkpoint", "gpt2_checkpoint"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_greedy_decoding_in_either_precision_is_that_of_generate(kind: str, dtype: str, request: Any) -> None:
    folder = request.getfixturevalue(kind)
    stepper = open_stepper(load_model("transformers", str(folder), dtype=dtype))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    for text in ("What is the capital of France?", "12 + 34 =", "问题"):
        prompt = stepper.encode(text)
        assert greedy(stepper.open(), prompt, TOKENS, stepper.end_tokens) == reference(model, prompt)


def test_the_fused_forward_pass_and_the_step_interface_choose_the_same_tokens(checkpoint: Path) -> None:
    server = load_model("transformers", str(checkpoint))
    assert server.info.extra["forward"] == "fused"
    stepper = open_stepper(server)
    answer = server.generate("What is", SamplingParams(max_tokens=30))
    found = greedy(stepper.open(), stepper.encode("What is"), 30, stepper.end_tokens)
    assert tuple(found) == answer.token_ids
    assert stepper.decode(found) == answer.text


def test_a_stepper_tells_what_it_drives(server: Any) -> None:
    stepper: Stepper = open_stepper(server)
    assert isinstance(server, Steppable)
    assert (stepper.vocabulary, stepper.context, stepper.layers) == (300, 256, 2)
    assert stepper.end_tokens == {0}
    text = "What is the capital of France?"
    assert stepper.decode(stepper.encode(text)) == text
    chat = stepper.encode([{"role": "user", "content": text}])
    assert stepper.decode(chat) == f"[user] {text}\n[assistant] "
    with pytest.raises(ModelServerError, match="empty prompt"):
        stepper.encode("")


def test_greedy_decoding_stops_at_the_limit_and_at_the_context(server: Any) -> None:
    stepper = open_stepper(server)
    prompt = stepper.encode("A")
    assert len(greedy(stepper.open(), prompt, 1)) == 1
    with pytest.raises(ModelServerError, match="but the context is 256"):
        greedy(stepper.open(), prompt, 300)


def test_sessions_of_two_threads_do_not_mix(server: Any) -> None:
    stepper = open_stepper(server)
    prompts = [stepper.encode(text) for text in ("What is", "12 + 34", "Monday,", "问题")]
    expected = [greedy(stepper.open(), prompt, 20) for prompt in prompts]
    found: dict[int, list[int]] = {}

    def work(index: int) -> None:
        found[index] = greedy(stepper.open(), prompts[index], 20)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[index] for index in range(len(prompts))] == expected


def test_with_the_model_its_sessions_are_closed(checkpoint: Path) -> None:
    server = load_model("transformers", str(checkpoint))
    stepper = open_stepper(server)
    session = stepper.open()
    session.prefill([5, 6])
    server.close()
    for deed in (lambda: session.step([7]), stepper.open, server.stepper):
        with pytest.raises(ModelServerError, match="is closed; load it again"):
            deed()
    session.close()


def test_a_back_end_without_a_step_interface_says_so() -> None:
    class Mute:
        info = ModelInfo("gpt-5", "openai")

    with pytest.raises(ModelServerError, match="back-end 'openai' of model 'gpt-5' .* cannot be driven token by token"):
        open_stepper(Mute())
