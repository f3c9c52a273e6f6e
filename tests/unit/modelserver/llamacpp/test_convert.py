"""Conversion to GGUF: what is written, what is refused, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.modelserver.backends.llamacpp import load
from ianvs_collab.modelserver.convert import gguf_file
from ianvs_collab.modelserver.convert.command import main
from ianvs_collab.modelserver.convert.gguf_file import convert_to_gguf
from ianvs_collab.modelserver.locate import ZOO

pytestmark = pytest.mark.usefixtures("extra")
Edited = Callable[..., Path]


def notes(path: Path) -> dict[str, Any]:
    import gguf

    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def test_what_a_file_says_of_the_model(edge: Path) -> None:
    found = notes(edge)
    config = json.loads((ZOO / "edge" / "config.json").read_text("utf-8"))
    assert found["general.architecture"] == "llama"
    assert found["llama.context_length"] == 512 and found["llama.block_count"] == 2
    assert found["llama.embedding_length"] == config["hidden_size"]
    assert found["llama.feed_forward_length"] == config["intermediate_size"]
    assert found["tokenizer.ggml.model"] == "gpt2" and found["tokenizer.ggml.pre"] == "smollm"
    assert len(found["tokenizer.ggml.tokens"]) == config["vocab_size"]
    assert found["tokenizer.ggml.token_type"][:4] == [3, 3, 3, 1]
    assert found["tokenizer.ggml.eos_token_id"] == found["tokenizer.ggml.bos_token_id"] == 0
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert found["tokenizer.chat_template"] == (ZOO / "edge" / "chat_template.jinja").read_text("utf-8")


def test_float_files_hold_the_weights_exactly_and_tied_ones_once(edge: Path) -> None:
    import gguf

    stored = load_file(ZOO / "edge" / "model.safetensors")
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(edge).tensors}
    assert "output.weight" not in tensors and len(tensors) == 2 + 2 * 9
    for here, there in (
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("blk.1.ffn_down.weight", "model.layers.1.mlp.down_proj.weight"),
        ("blk.0.attn_v.weight", "model.layers.0.self_attn.v_proj.weight"),
        ("output_norm.weight", "model.norm.weight"),
    ):
        np.testing.assert_array_equal(tensors[here].data, stored[there].float().numpy())
    # llama.cpp's pairs: row 1 of the first head is transformers' row 16 of 32
    queries = stored["model.layers.0.self_attn.q_proj.weight"].float().numpy()
    np.testing.assert_array_equal(tensors["blk.0.attn_q.weight"].data[[0, 1, 2, 33]], queries[[0, 16, 1, 48]])


def test_several_precisions_at_once(tmp_path: Path) -> None:
    files = convert_to_gguf("zoo:edge", tmp_path / "new", ["F16", "q8_0", "float32", "q4_0", "q4_k_m"])
    assert [file.precision for file in files] == ["f16", "q8_0", "f32", "q4_0", "q4_k_m"]
    assert sorted(file.path for file in files) == sorted((tmp_path / "new").iterdir())
    assert {file.path.name for file in files} == {f"edge-{p}.gguf" for p in ("f16", "q8_0", "f32", "q4_0", "q4_k_m")}
    assert [file.path.stat().st_size for file in files] == [file.nbytes for file in files]
    bits = {file.precision: file.bits for file in files}
    assert bits["f32"] == 32 and 16 < bits["f16"] < 16.1 and 8.5 < bits["q8_0"] < 8.7 and 4.5 < bits["q4_0"] < 7
    by_precision = {file.precision: file.types for file in files}
    assert by_precision["q4_0"] == {"Q4_0": 14, "F32": 5, "Q8_0": 1}  # the tied embedding is kept finer
    assert "Q4_K" not in by_precision["q4_k_m"]  # 64 numbers a row do not fill a block of 256
    assert {file.parameters for file in files} == {load(str(files[0].path)).info.parameters}


def test_files_are_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "edge-q8_0.gguf").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    convert_to_gguf(str(ZOO / "edge"), tmp_path, ["q8_0"])
    assert (tmp_path / "edge-q8_0.gguf").stat().st_size > 100_000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edge-q8_0.gguf", "mine.txt"]


def test_weights_in_several_files_and_in_bfloat16(tmp_path: Path, edited: Edited) -> None:
    folder = edited(ZOO / "edge", tmp_path / "split", "generation_config.json")
    weights = {name: weight.bfloat16() for name, weight in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    halves = {name: f"model-0000{1 + at % 2}-of-00002.safetensors" for at, name in enumerate(weights)}
    for file in set(halves.values()):
        part = {name: weights[name] for name, where in halves.items() if where == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": halves}))
    files = convert_to_gguf(str(folder), tmp_path, ["bf16", "f32", "q8_0"])
    import gguf

    exact = {tensor.name: tensor.data for tensor in gguf.GGUFReader(files[1].path).tensors}
    np.testing.assert_array_equal(
        exact["blk.1.ffn_up.weight"], weights["model.layers.1.mlp.up_proj.weight"].float().numpy()
    )
    assert files[0].types == {"BF16": 15, "F32": 5}
    (folder / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(ModelServerError, match=r"neither model\.safetensors nor a sound"):
        convert_to_gguf(str(folder), tmp_path, ["f16"])


@pytest.mark.parametrize(
    ("file", "values", "complaint"),
    [
        ("config.json", {"model_type": "gemma"}, "is a 'gemma'; this conversion knows the Llama family"),
        ("config.json", {"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ("config.json", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "rope_type"),
        (
            "config.json",
            {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            "a partial rotary embedding",
        ),
        ("config.json", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised already"),
        ("config.json", {"vocab_size": 1000}, "has an id 1023, but the embedding has 1000 rows"),
        ("generation_config.json", {"eos_token_id": [0, 1, 2, 3]}, "has 4 end tokens"),
    ],
)
def test_checkpoints_that_llama_cpp_would_run_otherwise(
    file: str, values: dict[str, Any], complaint: str, tmp_path: Path, edited: Edited
) -> None:
    folder = edited(ZOO / "edge", tmp_path / "odd", file, **values)
    with pytest.raises(ModelServerError, match=complaint):
        convert_to_gguf(str(folder), tmp_path / "out", ["f16"])
    assert not list((tmp_path / "out").glob("*.gguf"))


def test_a_sliding_window_shortens_the_context(tmp_path: Path, converted: Callable[..., Path], edited: Edited) -> None:
    folder = edited(ZOO / "edge", tmp_path / "mistral", "config.json", model_type="mistral", sliding_window=100)
    assert load(str(converted(folder, "f16"))).info.extra["context_length"] == 100


def test_several_end_tokens_all_end(make_llama: Callable[..., Path], tmp_path: Path, converted: Any) -> None:
    folder = make_llama(tmp_path / "ends", eos=[299, 298, 0])
    server = load(str(converted(folder, "f16")))
    assert server.stepper().end_tokens == {0, 298, 299}
    assert notes(converted(folder, "f16"))["tokenizer.ggml.eos_token_id"] == 0  # the tokenizer's own comes first


def test_the_tokenizers_end_token_counts_where_the_configuration_names_none(
    make_llama: Callable[..., Path], tmp_path: Path, converted: Any
) -> None:
    folder = make_llama(tmp_path / "silent", eos=None)
    (folder / "generation_config.json").unlink()
    assert load(str(converted(folder, "f16"))).stepper().end_tokens == {0}


def test_a_checkpoint_without_end_token_is_refused(make_llama: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_llama(tmp_path / "endless", eos=None)
    with_tokenizer(folder, eos_token=None)
    with pytest.raises(ModelServerError, match="has no end token"):
        convert_to_gguf(str(folder), tmp_path, ["f16"])


def test_a_vocabulary_smaller_than_the_embedding_is_filled_up(tmp_path: Path, converted: Any, edited: Edited) -> None:
    folder = edited(ZOO / "edge", tmp_path / "wide", "config.json", vocab_size=1030)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = torch.cat([weights["model.embed_tokens.weight"], torch.zeros(6, 64).half()])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    found = notes(converted(folder, "f16"))
    assert found["tokenizer.ggml.tokens"][-1] == "[unused1029]" and found["tokenizer.ggml.token_type"][-6:] == [5] * 6


def test_added_tokens_and_named_templates(make_llama: Callable[..., Path], tmp_path: Path, converted: Any) -> None:
    folder = make_llama(tmp_path / "added")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.add_tokens(["<think>"])
    tokenizer.chat_template = {"default": "{{ messages[0].content }}", "tool_use": "{{ tools }}"}
    tokenizer.save_pretrained(folder)
    number = tokenizer.convert_tokens_to_ids("<think>")
    grow(folder, number + 1)
    server = load(str(converted(folder, "f16")))
    assert server.stepper().encode("A<think>B") == tokenizer("A<think>B")["input_ids"]
    assert server.stepper().decode([number]) == "<think>"
    assert server.stepper().encode([{"role": "user", "content": "A"}]) == tokenizer("A")["input_ids"]


def grow(folder: Path, size: int) -> None:
    """Give a checkpoint `size` rows of embedding."""
    weights = load_file(folder / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in weights:
            old = weights[name]
            weights[name] = torch.cat([old, torch.zeros(size - len(old), old.shape[1], dtype=old.dtype)])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": size}))


def with_tokenizer(folder: Path, change: Callable[[Tokenizer], Any] = lambda _: None, **names: Any) -> None:
    """Change the tokenizer of a checkpoint."""
    inner = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    inner = change(inner) or inner
    for stale in ("tokenizer.json", "tokenizer_config.json"):
        (folder / stale).unlink()
    names = {"eos_token": "<end>", "pad_token": "<pad>", **names}
    PreTrainedTokenizerFast(tokenizer_object=inner, **names).save_pretrained(folder)


def lowercase(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Lowercase()


def wordwise(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()


def uncut(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()


def framed(tokenizer: Tokenizer) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", 1)])


def unigram(_: Tokenizer) -> Tokenizer:
    other = Tokenizer(models.Unigram([("<end>", 0.0), ("<pad>", 0.0), ("a", -1.0)], unk_id=1))
    other.decoder = decoders.Metaspace()
    return other


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lowercase, r"normalises text \(Lowercase\)"),
        (wordwise, "rules that this conversion does not know"),
        (uncut, "rules that this conversion does not know"),
        (framed, "puts tokens around a text that llama.cpp cannot"),
        (unigram, "is not a byte-level BPE"),
    ],
)
def test_tokenizers_that_llama_cpp_does_not_have(
    change: Any, complaint: str, make_llama: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_llama(tmp_path / "model")
    with_tokenizer(folder, change)
    with pytest.raises(ModelServerError, match=complaint):
        convert_to_gguf(str(folder), tmp_path, ["f16"])


def test_a_tokenizer_that_comes_out_otherwise_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gguf_file.read_vocabulary

    def other(checkpoint: Any) -> Any:
        import dataclasses

        return dataclasses.replace(whole(checkpoint), merges=whole(checkpoint).merges[::-1])

    monkeypatch.setattr(gguf_file, "read_vocabulary", other)
    with pytest.raises(ModelServerError, match="tokenizer of model 'zoo:edge' cannot be converted: .* to llama.cpp"):
        convert_to_gguf("zoo:edge", tmp_path, ["f16"])
    assert not list(tmp_path.iterdir())


def test_weights_that_do_not_belong(tmp_path: Path, edited: Edited) -> None:
    folder = edited(ZOO / "edge", tmp_path / "strange", "generation_config.json")
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "model.layers.7.mlp.up_proj.weight": torch.ones(2, 2)}, folder / "model.safetensors")
    with pytest.raises(ModelServerError, match="holds a weight 'model.layers.7.mlp.up_proj.weight' that no llama has"):
        convert_to_gguf(str(folder), tmp_path / "out", ["f16"])
    del weights["model.norm.weight"]
    weights["model.rotary_emb.inv_freq"] = torch.ones(2)  # old checkpoints hold it; it is computed
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelServerError, match="cannot load .*output_norm.weight"):
        convert_to_gguf(str(folder), tmp_path / "out", ["f16"])
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelServerError, match=r"model\.safetensors cannot be read"):
        convert_to_gguf(str(folder), tmp_path / "out", ["f16"])


def test_checkpoints_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: Edited) -> None:
    folder = edited(ZOO / "edge", tmp_path / "broken", "generation_config.json")
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelServerError, match="in .*broken cannot be read"):
        convert_to_gguf(str(folder), tmp_path, ["f16"])
    monkeypatch.setattr("ianvs_collab.modelserver.convert.checkpoint.resolve_model", lambda name: name)
    with pytest.raises(ModelServerError, match="lies on a hub"):
        convert_to_gguf("some/model", tmp_path, ["f16"])


def test_a_quantiser_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = gguf_file.llama()
    monkeypatch.setattr(api, "llama_model_quantize", lambda *_: 1)
    with pytest.raises(ModelServerError, match=r"cannot quantise edge-f16\.gguf to q8_0: nothing"):
        convert_to_gguf("zoo:edge", tmp_path, ["q8_0"])


def test_the_command_makes_files_and_says_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["zoo:edge", "--to", "gguf", "--quant", "f16,q8_0", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{tmp_path}/edge-f16.gguf: ") and lines[0].endswith("(15 f16, 5 f32)")
    assert "bytes, 8.5" in lines[1] and load(str(tmp_path / "edge-q8_0.gguf")).info.dtype == "q8_0"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["zoo:edge", "--quant", "f16,q9"], "precision 'q9' is unknown"),
        (["zoo:egde"], "did you mean `zoo:edge`"),
    ],
)
def test_the_command_tells_what_is_wrong(arguments: list[str], complaint: str, tmp_path: Path, capsys: Any) -> None:
    assert main([*arguments, "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert complaint in said and said.endswith("nothing was converted\n")


def test_the_command_says_when_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    assert main(["zoo:edge", "--out", str(tmp_path / "file")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_help_needs_neither_torch_nor_llama_cpp(repository: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom ianvs_collab.modelserver.convert.command import main\n"
        "try:\n    main(['-h'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'torch', 'llama_cpp', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "q4_k_m" in done.stdout
