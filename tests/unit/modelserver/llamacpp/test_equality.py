"""A converted model against transformers: the same tokens of every text, the same logits, the same greedy answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from ianvs_collab.modelserver import ModelServer, SamplingParams, load_model
from ianvs_collab.modelserver.backends.llamacpp import load
from ianvs_collab.modelserver.convert.equality import compare_greedy
from ianvs_collab.modelserver.locate import ZOO
from ianvs_collab.zoo.export import test_questions as nano_questions

pytestmark = pytest.mark.usefixtures("extra")
CHINESE = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)
MARKS = st.sampled_from("，。？！：；“”（）、 \t\n0123456789１２３")
SPECIAL = st.sampled_from(["<|endoftext|>", "<|pad|>", "<|cls|>", "<|", "|>"])
ENGLISH = st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cs"]), max_size=12)
TEXTS = st.lists(st.one_of(st.text(CHINESE, max_size=8), st.text(MARKS, max_size=4), ENGLISH, SPECIAL)).map("".join)
ANY = st.text(st.characters(exclude_categories=["Cs", "Cn"]), min_size=1, max_size=30)


@cache
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


@settings(max_examples=400, deadline=None)
@given(TEXTS.filter(bool))
def test_every_text_has_the_same_tokens(stepper: list, text: str) -> None:
    assert stepper[0].encode(text) == tokenizer(ZOO / "edge")(text)["input_ids"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 1023), max_size=20))
def test_every_sequence_of_tokens_has_the_same_text(stepper: list, tokens: list[int]) -> None:
    assert stepper[0].decode(tokens) == tokenizer(ZOO / "edge").decode(tokens, skip_special_tokens=True)


@pytest.fixture(scope="module")
def stepper(edge_server: ModelServer) -> list[Any]:
    """The step interface, in a form that hypothesis does not print."""
    return [edge_server.stepper()]


@pytest.mark.parametrize(("name", "count"), [("edge", 200), ("cloud", 40)])
def test_f32_gives_the_greedy_answers_of_transformers(name: str, count: int, converted: Callable[..., Path]) -> None:
    here = load(str(converted(f"zoo:{name}", "f32")), kv_precision="f32")
    there = load_model("transformers", f"zoo:{name}")
    params = SamplingParams(max_tokens=24)
    for question in nano_questions()[:count]:
        found, expected = here.generate(question.prompt, params), there.generate(question.prompt, params)
        assert found.token_ids == expected.token_ids, question.prompt
        assert (found.text, found.finish_reason) == (expected.text, expected.finish_reason)
        assert found.prompt_tokens == expected.prompt_tokens
    here.close()


@pytest.mark.parametrize(("name", "count"), [("edge", 200), ("cloud", 40)])
def test_f16_parts_only_where_two_tokens_are_almost_alike(
    name: str, count: int, converted: Callable[..., Path]
) -> None:
    here = load(str(converted(f"zoo:{name}", "f16")))
    prompts = [question.prompt for question in nano_questions()[:count]]
    found = compare_greedy(load_model("transformers", f"zoo:{name}"), here, prompts)
    assert found.prompts == count and found.tokens > 5 * count
    assert all(other.gap is not None and other.gap < 0.05 for other in found.divergences), str(found)
    assert len(found.divergences) <= count // 20
    here.close()


SIZES = {
    "vocab_size": 1024,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
    "initializer_range": 0.2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
RELATIVES = {
    "grouped queries": (LlamaForCausalLM, LlamaConfig, {}),
    "untied": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": False}),
    "wide heads": (LlamaForCausalLM, LlamaConfig, {"head_dim": 32, "tie_word_embeddings": True}),
    "biases": (LlamaForCausalLM, LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "llama3 rope": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LLAMA3}),
    "linear rope": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LINEAR}),
    "mistral": (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {"tie_word_embeddings": True}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 32}),
}


@pytest.mark.parametrize("relative", RELATIVES)
def test_the_logits_of_every_relative_are_those_of_transformers(
    relative: str, tmp_path: Path, converted: Callable[..., Path]
) -> None:
    model_class, config_class, options = RELATIVES[relative]
    torch.manual_seed(3)
    model = model_class(config_class(**{**SIZES, **options})).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("bias", "norm.weight")):  # new models have zeros and ones there, which hide mistakes
                weight.add_(0.3 * torch.randn_like(weight))
    model.save_pretrained(tmp_path)
    tokenizer(ZOO / "edge").save_pretrained(tmp_path)
    ids = torch.randint(3, 1024, (1, 200))
    server = load(str(converted(tmp_path, "f32")), kv_precision="f32")
    with torch.no_grad():
        expected = model(ids).logits[0]
    found = server.stepper().open().step(ids[0].tolist())
    torch.testing.assert_close(found, expected, atol=1e-4 * float(expected.std()), rtol=1e-4)
    assert server.info.parameters == model.num_parameters() + (16 // 2 if "rope" in relative else 0)
    server.close()


WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
REGEXES = {
    "llama-bpe": f"{WORDS}|\\p{{N}}{{1,3}}|{REST}",
    "qwen2": f"{WORDS}|\\p{{N}}|{REST}",
}


@pytest.mark.parametrize("cutting", ["gpt-2", "llama-bpe", "qwen2"])
def test_other_ways_to_cut_text(
    cutting: str, make_llama: Callable[..., Path], tmp_path: Path, converted: Callable[..., Path]
) -> None:
    from tokenizers import Regex, pre_tokenizers, processors

    folder = make_llama(tmp_path / "model")
    wrapped = AutoTokenizer.from_pretrained(folder)
    inner = wrapped.backend_tokenizer
    if cutting in REGEXES:
        split = pre_tokenizers.Split(Regex(REGEXES[cutting]), "isolated")
        rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        inner.pre_tokenizer = pre_tokenizers.Sequence([split, rest])
    if cutting == "llama-bpe":  # as Llama 3 does
        inner.post_processor = processors.TemplateProcessing(single="<end> $A", special_tokens=[("<end>", 0)])
    again = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", bos_token="<end>", pad_token="<pad>")
    again.save_pretrained(folder)
    server = load(str(converted(folder, "f32")))
    for text in ["I'll pay 12345 euros,\n\n  don't I?", "１２３ 三 x²", "A<end>B"]:
        assert server.stepper().encode(text) == again(text)["input_ids"]
    server.close()


def test_log_probabilities_are_those_of_transformers(edge_server: ModelServer) -> None:
    params = SamplingParams(max_tokens=20, logprobs=True)
    there = load_model("transformers", "zoo:edge")
    for question in nano_questions()[:20]:
        found, expected = edge_server.generate(question.prompt, params), there.generate(question.prompt, params)
        np.testing.assert_allclose(found.logprobs, expected.logprobs, atol=1e-4)


def test_a_seed_draws_the_same_tokens_as_under_transformers(edge_server: ModelServer) -> None:
    there = load_model("transformers", "zoo:edge")
    params = SamplingParams(max_tokens=24, temperature=0.8, top_k=40, top_p=0.9, seed=7)
    same = [
        edge_server.generate(question.prompt, params).token_ids == there.generate(question.prompt, params).token_ids
        for question in nano_questions()[:40]
    ]
    assert sum(same) >= 38  # a draw on the edge between two tokens may fall to either side
