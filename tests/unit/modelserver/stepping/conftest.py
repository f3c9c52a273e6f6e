"""Tiny random models of several architectures, and sessions on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    Lfm2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Qwen2Config,
)

from ianvs_collab.modelserver.stepping.stepper import CausalStepper, engine_of

VOCABULARY, CONTEXT = 40, 96
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
CONFIGURATIONS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SIZES),
    "gpt2": lambda: GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=3, n_head=4, n_positions=CONTEXT, initializer_range=0.3
    ),
    "qwen with a window in two layers": lambda: Qwen2Config(
        **SIZES, use_sliding_window=True, sliding_window=5, max_window_layers=1
    ),
    "mistral with a window": lambda: MistralConfig(**SIZES, sliding_window=4),
    "gemma with a window in two layers": lambda: Gemma3TextConfig(
        **SIZES,
        head_dim=8,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "convolutions": lambda: Lfm2Config(**SIZES, layer_types=["conv", "full_attention", "conv"], block_ff_dim=32),
    "state space": lambda: MambaConfig(
        vocab_size=VOCABULARY, hidden_size=16, state_size=4, num_hidden_layers=2, initializer_range=0.3
    ),
}
PLAIN = ("llama", "gpt2")


@pytest.fixture(scope="session")
def make_model() -> Callable[[str], Any]:
    """Function that makes a random model: `make_model("llama")`."""

    def make(name: str) -> Any:
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(CONFIGURATIONS[name](), dtype=torch.float32).eval()

    return make


def stepper_on(model: Any, context: int | None = CONTEXT) -> CausalStepper:
    @contextmanager
    def at_work() -> Iterator[Any]:
        with torch.inference_mode():
            yield model

    engine = engine_of("tiny", model, context, at_work)
    return CausalStepper(
        engine,
        tokenise=lambda prompt: [ord(letter) % VOCABULARY for letter in prompt],
        tokenizer=None,
        end_tokens=frozenset(),
    )


@pytest.fixture(scope="session")
def make_stepper() -> Callable[..., CausalStepper]:
    """Function that puts the step interface on a model: `make_stepper(model, context=96)`."""
    return stepper_on
