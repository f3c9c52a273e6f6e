"""Precisions by name: weights near the exact ones, memory as counted by hand, and messages for what cannot be."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, MambaConfig, MambaForCausalLM

from ianvs_collab.modelserver import ModelServerError, SamplingParams, SharedAnswers, load_model
from ianvs_collab.modelserver.backends.hf_loading import load_checkpoint
from ianvs_collab.modelserver.footprint import kv_bytes_per_token, weight_bytes
from ianvs_collab.modelserver.memory import peak_rss_bytes
from ianvs_collab.modelserver.precision import choose_precision, quantise
from ianvs_collab.modelserver.quantised_layers import Int8DynamicLinear, Int8Linear
from ianvs_collab.modelserver.shared import model_identity
from ianvs_collab.zoo.export import test_questions as nano_questions

LAYERS, WIDTH, INNER, VOCABULARY = 2, 32, 64, 300  # of the tiny Llama
LINEAR = LAYERS * (4 * WIDTH * WIDTH + 3 * WIDTH * INNER)  # weights in its blocks' linear layers
OUTPUTS = LAYERS * (4 * WIDTH + 2 * INNER + WIDTH)


SHAPES = {
    "rows": st.integers(1, 20),
    "inputs": st.one_of(st.sampled_from([64, 128, 192, 256]), st.integers(2, 130)),
    "outputs": st.integers(1, 70),
    "biased": st.booleans(),
    "seed": st.integers(0, 99),
}


def draw(rows: int, inputs: int, outputs: int, biased: bool, seed: int) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    bias = torch.nn.Parameter(torch.randn(outputs, generator=generator)) if biased else None
    return weight, bias, torch.randn(1, rows, inputs, generator=generator)


def dequantised(layer: Int8Linear | Int8DynamicLinear) -> torch.Tensor:
    return layer.rounded.float() * layer.scale.float()[:, None]


@settings(max_examples=80, deadline=None)
@given(**SHAPES)
def test_int8_is_the_product_with_the_rounded_weights(**shape: int) -> None:
    weight, bias, x = draw(**shape)
    layer = Int8Linear(weight, bias)
    assert (layer.rounded.dtype, layer.scale.dtype) == (torch.int8, torch.bfloat16)
    # A step is the scale; where the scale was rounded down, the largest weight is cut by 127 · 2⁻⁹ steps at most.
    assert ((dequantised(layer) - weight).abs() <= layer.scale.float()[:, None] * 0.51).all()
    exact = functional.linear(x.bfloat16().float(), dequantised(layer), bias)
    found = layer(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=1e-2, rtol=2**-7)  # outputs are rounded to bfloat16


@settings(max_examples=30, deadline=None)
@given(**SHAPES)
def test_int8_gives_a_token_the_same_alone_and_among_many(**shape: int) -> None:
    weight, bias, x = draw(**{**shape, "rows": 30})
    layer = Int8Linear(weight, bias)
    alone = torch.cat([layer(x[:, i : i + 1]) for i in range(30)], 1)
    torch.testing.assert_close(layer(x), alone, atol=1e-2, rtol=2**-7)


@settings(max_examples=80, deadline=None)
@given(**SHAPES)
def test_dynamic_int8_is_the_product_of_rounded_inputs_and_rounded_weights(**shape: int) -> None:
    weight, bias, x = draw(**shape)
    layer = Int8DynamicLinear(weight, bias)
    assert ((dequantised(layer) - weight).abs() <= layer.scale[:, None] * 0.5001).all()
    step = x.abs().amax(-1, keepdim=True) / 127
    exact = functional.linear((x / step).round() * step, dequantised(layer), bias)
    torch.testing.assert_close(layer(x), exact, atol=1e-4, rtol=1e-4)
    rows = [layer(x[:, index : index + 1]) for index in range(x.shape[1])]
    torch.testing.assert_close(layer(x), torch.cat(rows, 1), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", [Int8Linear, Int8DynamicLinear])
def test_zeros_stay_zeros(kind: type) -> None:
    assert torch.equal(kind(torch.zeros(3, 8), None)(torch.ones(2, 8)), torch.zeros(2, 3))
    assert torch.equal(kind(torch.ones(3, 8), None)(torch.zeros(2, 8)), torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ((None, "auto"), ("auto", None)),
        ((None, "bf16"), ("bf16", None)),
        (("float16", "auto"), ("float16", None)),
        (("bfloat16", "bfloat16"), ("bfloat16", None)),
        (("int8", "auto"), ("auto", "int8")),
        (("int4", "bfloat16"), ("bfloat16", "int4")),
    ],
)
def test_one_word_is_split_into_dtype_and_quantisation(given_: tuple, expected: tuple) -> None:
    assert choose_precision(*given_) == expected


def test_what_contradicts_itself_or_is_unknown_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ModelServerError, match="'float16' and dtype 'bfloat16' contradict one another; give one"):
        load_model("transformers", str(checkpoint), precision="float16", dtype="bfloat16")
    with pytest.raises(ModelServerError, match="precision 'int3' is unknown; known are float32, .*int8, .*int4"):
        load_model("transformers", str(checkpoint), precision="int3")


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("bfloat16", 2), ("float16", 2)])
def test_memory_in_floating_precisions(checkpoint: Path, precision: str, size: int) -> None:
    info = load_model("transformers", str(checkpoint), precision=precision).info
    assert info.dtype == precision
    assert "quantisation" not in info.extra
    stored = sum(tensor.numel() for tensor in load_file(checkpoint / "model.safetensors").values())
    assert info.parameters == stored
    tables = 2 * WIDTH // 2 // 2 * 4  # the rotary embedding keeps its frequencies twice, in float32
    assert info.footprint.weight_bytes == stored * size + tables
    assert info.footprint.kv_bytes_per_token == LAYERS * 2 * WIDTH * size
    assert info.footprint.load_s > 0
    assert info.footprint.weight_bytes < info.footprint.peak_rss_bytes < peak_rss_bytes() * 1.01  # Linux counts roughly


@pytest.mark.parametrize(("precision", "scale"), [("int8", 2), ("int8-dynamic", 4)])
def test_int8_takes_a_byte_a_weight_and_answers_alike(checkpoint: Path, precision: str, scale: int) -> None:
    exact, rounded = (load_model("transformers", str(checkpoint), precision=name) for name in ("float32", precision))
    assert (rounded.info.dtype, rounded.info.parameters) == (precision, exact.info.parameters)
    assert rounded.info.extra["quantisation"] == f"torch {torch.__version__}, {LAYERS * 7} layers"
    assert rounded.info.extra["forward"] == "transformers"
    saved = exact.info.footprint.weight_bytes - rounded.info.footprint.weight_bytes
    assert saved == 3 * LINEAR - scale * OUTPUTS
    assert rounded.info.footprint.kv_bytes_per_token == exact.info.footprint.kv_bytes_per_token
    params = SamplingParams(max_tokens=1, logprobs=True)
    exactly, roughly = exact.generate("A", params), rounded.generate("A", params)
    assert 0 < abs(exactly.logprobs[0] - roughly.logprobs[0]) < 0.5


@pytest.mark.parametrize("precision", ["int8", "int8-dynamic"])
def test_the_edge_model_in_int8_answers_as_in_float32(precision: str) -> None:
    exact, rounded = (load_model("transformers", "zoo:edge", precision=name) for name in ("float32", precision))
    chats = [[{"role": "user", "content": question.prompt}] for question in nano_questions()[:12]]
    params = SamplingParams(max_tokens=24)
    equal = sum(exact.generate(chat, params).text == rounded.generate(chat, params).text for chat in chats)
    assert equal >= 9


def test_int8_in_half_precision_arithmetic(checkpoint: Path) -> None:
    server = load_model("transformers", str(checkpoint), precision="int8", dtype="bfloat16")
    assert server.info.dtype == "int8"
    assert server.info.footprint.kv_bytes_per_token == LAYERS * 2 * WIDTH * 2
    assert server.generate("A", SamplingParams(max_tokens=4)).completion_tokens >= 1


def test_the_convolution_layers_of_gpt2_are_linear_layers_too(gpt2_checkpoint: Path) -> None:
    exact, rounded = (load_model("transformers", str(gpt2_checkpoint), precision=p) for p in ("float32", "int8"))
    assert rounded.info.footprint.weight_bytes < 0.6 * exact.info.footprint.weight_bytes
    params = SamplingParams(max_tokens=1, logprobs=True)
    a, b = exact.generate("A", params), rounded.generate("A", params)
    assert a.token_ids == b.token_ids
    assert a.logprobs == pytest.approx(b.logprobs, abs=0.5)


def test_a_shared_embedding_counts_once_and_stays_exact() -> None:
    checkpoint = load_checkpoint("zoo:edge", dtype="float32", device="cpu", revision=None, attention=None)
    model = checkpoint.model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert weight_bytes(model) == 4 * checkpoint.parameters + sum(buffer.nbytes for buffer in model.buffers())
    quantise(model, "int8")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert not any(isinstance(layer, torch.nn.Linear) for layer in model.model.modules())


def test_a_model_without_linear_layers_is_refused() -> None:
    class Bare(torch.nn.Module):
        device = torch.device("cpu")

        def get_output_embeddings(self) -> None:
            return None

    with pytest.raises(ModelServerError, match="'int8' found no linear layer that it can quantise in a Bare; use a"):
        quantise(Bare(), "int8")


def test_two_loads_of_a_model_are_the_same_model(checkpoint: Path) -> None:
    first, second = (load_model("transformers", str(checkpoint)) for _ in range(2))
    assert first.info.footprint.load_s != second.info.footprint.load_s
    assert first.info == second.info
    assert model_identity(first.info) == model_identity(second.info)
    assert model_identity(first.info) != model_identity(
        load_model("transformers", str(checkpoint), precision="int8").info
    )
    params = SamplingParams(max_tokens=3)
    SharedAnswers(first).generate("only once", params, query_id="p")
    assert SharedAnswers(second).generate("only once", params, query_id="p").shared


def test_without_torchao_the_message_names_the_extra(checkpoint: Path, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.startswith("torchao.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchao", None)
    with pytest.raises(ModelServerError, match=r"'int4' needs torchao 0.18; type: pip install .ianvs-collab\[quant"):
        load_model("transformers", str(checkpoint), precision="int4")
    assert logging.getLogger("torchao").level == logging.NOTSET  # quiet only for a moment


def test_int4_takes_half_a_byte_a_weight_and_answers_alike(checkpoint: Path) -> None:
    pytest.importorskip("torchao")
    exact, rounded = (load_model("transformers", str(checkpoint), precision=name) for name in ("float32", "int4"))
    assert (rounded.info.dtype, rounded.info.parameters) == ("int4", exact.info.parameters)
    assert rounded.info.extra["quantisation"].startswith("torchao 0.18")
    saved = exact.info.footprint.weight_bytes - rounded.info.footprint.weight_bytes
    assert saved == LINEAR * 4 - LINEAR // 2 - LINEAR // 32 * 4  # scale and zero of a group take two bytes each
    params = SamplingParams(max_tokens=1, logprobs=True)
    exactly, roughly = exact.generate("A", params), rounded.generate("A", params)
    assert 0 < abs(exactly.logprobs[0] - roughly.logprobs[0]) < 3


def test_inputs_that_do_not_make_whole_groups_are_refused_in_int4() -> None:
    pytest.importorskip("torchao")
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 2, "head_dim": 12}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=300, num_hidden_layers=1, **sizes))
    with pytest.raises(ModelServerError, match="'int4' found no linear layer that it can quantise in a LlamaFor"):
        quantise(model, "int4")


@pytest.mark.parametrize("precision", ["int4", "int8-dynamic"])
def test_what_runs_on_cpus_only_is_refused_elsewhere(precision: str) -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=30, hidden_size=32, num_hidden_layers=1))
    with pytest.raises(ModelServerError, match=f"'{precision}' runs on CPUs only, and the model is on meta; give"):
        quantise(model, precision)


def test_a_layer_of_one_input_is_left_alone() -> None:
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=30, hidden_size=16, intermediate_size=1, num_hidden_layers=1, num_attention_heads=2)
    )
    assert quantise(model, "int8-dynamic").endswith("6 layers")
    assert isinstance(model.model.layers[0].mlp.down_proj, torch.nn.Linear)


def test_a_model_without_a_cache_has_no_bytes_a_token() -> None:
    model = MambaForCausalLM(MambaConfig(vocab_size=30, hidden_size=16, state_size=4, num_hidden_layers=1)).eval()
    assert kv_bytes_per_token(model) is None
