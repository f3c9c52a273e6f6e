"""The llama.cpp back-end: what it answers, what it reports, and what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from ianvs_collab.modelserver import ModelServer, ModelServerError, SamplingParams, load_model
from ianvs_collab.modelserver.backends.llamacpp import load
from ianvs_collab.modelserver.locate import ZOO

pytestmark = pytest.mark.usefixtures("extra")
PROMPT = "What is the capital of France?\nA. Paris\nB. London\nC. Rome\nD. Berlin\nAnswer:"


def test_it_is_a_model_server_and_says_what_it_is(edge: Path, edge_server: ModelServer) -> None:
    assert isinstance(edge_server, ModelServer)
    info = edge_server.info
    assert (info.backend, info.dtype, info.device, info.model) == ("llamacpp", "float32", "cpu", str(edge))
    assert info.parameters == load_model("transformers", "zoo:edge").info.parameters
    assert info.revision.startswith("sha256:") and len(info.revision) == 71
    assert info.extra["context_length"] == 512 and info.extra["threads"] == 1
    assert info.extra["chat_template"] is True and info.extra["architecture"] == "llama"
    assert info.footprint.weight_bytes == 4 * info.parameters
    # keys and values of 2 layers and 64 numbers in float32, and a little of llama.cpp's own
    assert 2 * 2 * 64 * 4 <= info.footprint.kv_bytes_per_token <= 2 * 2 * 64 * 4 + 32
    assert info.footprint.load_s > 0 and info.footprint.peak_rss_bytes > info.footprint.weight_bytes


@pytest.mark.parametrize("precision", ["q8_0", "q5_0", "q5_1", "q4_0", "q4_1", "bf16", "q4_k_m", "q6_k", "q2_k"])
def test_every_precision_loads_and_answers(precision: str, converted: Callable[..., Path]) -> None:
    with_closing = load(str(converted("zoo:edge", precision)))
    found = with_closing.generate(PROMPT, SamplingParams(max_tokens=24))
    assert found.completion_tokens > 3 and found.text.strip()
    assert with_closing.info.dtype == {"bf16": "bfloat16"}.get(precision, precision)
    with_closing.close()


def test_fewer_bits_take_less_memory(converted: Callable[..., Path]) -> None:
    sizes = []
    for precision in ("f32", "f16", "q8_0", "q5_0", "q4_0"):
        server = load(str(converted("zoo:cloud", precision)))
        sizes.append(server.info.footprint.weight_bytes)
        server.close()
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(sizes)


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.integers(1, 12),
    st.booleans(),
    st.floats(0, 2),
)
def test_what_every_generation_has(holder: list, prompt: str, tokens: int, logprobs: bool, heat: float) -> None:
    params = SamplingParams(max_tokens=tokens, temperature=heat, seed=1, logprobs=logprobs)
    found = holder[0].generate(prompt, params)
    count = found.completion_tokens
    assert 1 <= count <= tokens
    assert len(found.token_ids) == len(found.token_times) == count
    assert found.token_times_exact and not found.shared
    assert all(a < b for a, b in itertools.pairwise((0.0, *found.token_times, found.duration)))
    assert (found.finish_reason == "stop") == (found.token_ids[-1] == 0)
    assert found.finish_reason == "stop" or count == tokens
    if logprobs:
        assert len(found.logprobs) == count and all(value <= 1e-6 for value in found.logprobs)
    else:
        assert found.logprobs is None


@pytest.fixture(scope="module")
def holder(edge_server: ModelServer) -> list[ModelServer]:
    """The server, in a form that hypothesis does not print."""
    return [edge_server]


def test_a_stop_text_ends_the_completion_before_it(edge_server: ModelServer) -> None:
    free = edge_server.generate(PROMPT, SamplingParams(max_tokens=20))
    for at in range(1, len(free.text) - 2):
        stop = free.text[at : at + 2]
        found = edge_server.generate(PROMPT, SamplingParams(max_tokens=20, stop=("never there", stop)))
        assert found.text == free.text[: free.text.index(stop)]
        assert found.finish_reason == "stop"
        assert found.token_ids == free.token_ids[: found.completion_tokens]


def test_a_seed_repeats_a_sample_and_another_seed_does_not(edge_server: ModelServer) -> None:
    def sample(seed: int) -> str:
        return edge_server.generate(PROMPT, SamplingParams(max_tokens=20, temperature=1.5, seed=seed)).text

    assert sample(1) == sample(1)
    assert len({sample(seed) for seed in range(5)}) > 1


def test_an_answer_does_not_depend_on_what_was_asked_before(edge_server: ModelServer) -> None:
    params = SamplingParams(max_tokens=16)
    prompts = [PROMPT, "12 + 34 =", "问题：法国的首都是哪里？"]
    alone = [edge_server.generate(prompt, params).token_ids for prompt in prompts]
    assert [found.token_ids for found in edge_server.generate_batch(prompts[::-1], params)] == alone[::-1]
    assert edge_server.generate_batch([]) == []


TEMPLATES = [
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[a] {% endif %}",
    "{{ bos_token }}{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{{ m | tojson }}{% endfor %}"
    "{{ eos_token }}",
    "    {% set ns = namespace(n=0) %}\n{% for m in messages %}\n  {% set ns.n = ns.n + 1 %}\n"
    "{{ ns.n }}{{ greeting }}\n{% endfor %}",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_is_rendered_as_transformers_does(template: str, edge: Path) -> None:
    chat = [{"role": "system", "content": "Be <b>brief</b>: 问."}, {"role": "user", "content": "2 + 2?"}]
    server = load(str(edge), chat_template=template, chat_template_kwargs={"greeting": "Hi"})
    tokenizer = AutoTokenizer.from_pretrained(ZOO / "edge")
    expected = tokenizer.apply_chat_template(
        chat, chat_template=template, tokenize=False, add_generation_prompt=True, greeting="Hi"
    )
    assert server.stepper().encode(chat) == tokenizer(expected, add_special_tokens=False)["input_ids"]
    assert server.generate(chat, SamplingParams(max_tokens=2)).prompt_tokens == len(server.stepper().encode(chat))
    server.close()


def test_the_files_own_template_is_used(edge_server: ModelServer) -> None:
    chat = [{"role": "user", "content": PROMPT}]
    assert edge_server.stepper().encode(chat) == edge_server.stepper().encode(PROMPT)


def test_chats_that_cannot_be_rendered(edge: Path, make_llama: Callable[..., Path], converted, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "2 + 2?"}]
    with pytest.raises(ModelServerError, match="is not Jinja.*chat_template"):
        load(str(edge), chat_template="{% for %}")
    strict = load(str(edge), chat_template="{{ raise_exception('roles must alternate') }}")
    with pytest.raises(ModelServerError, match="refuses the chat: roles must alternate"):
        strict.generate(chat)
    bare = load(str(converted(make_llama(tmp_path / "bare", chat=False), "f32")))
    assert bare.info.extra["chat_template"] is False
    with pytest.raises(ModelServerError, match="no chat template.*`chat: false`"):
        bare.generate(chat)
    today = load(str(edge), chat_template="{{ strftime_now('%Y') }}")
    assert len(today.stepper().encode(chat)) == 4


def test_prompts_that_cannot_be_answered(edge_server: ModelServer) -> None:
    with pytest.raises(ModelServerError, match="empty prompt"):
        edge_server.generate("")
    with pytest.raises(ModelServerError, match="half of a character at position 1"):
        edge_server.generate("a\ud800")
    with pytest.raises(ModelServerError, match=r"need 9\d\d tokens.*context of 512.*larger `context`"):
        edge_server.generate("word " * 200, SamplingParams(max_tokens=300))


def test_a_prompt_of_several_passes_is_answered_as_one(converted: Callable[..., Path], tmp_path: Path, edited) -> None:
    long = edited(ZOO / "edge", tmp_path / "long", "config.json", max_position_embeddings=2048)
    server = load(str(converted(long, "f32")), kv_precision="f32")
    stepper = server.stepper()
    tokens = (stepper.encode(PROMPT) * 60)[:1500]
    at_once, bit_by_bit = stepper.open(), stepper.open()
    for start in range(0, len(tokens), 97):
        last = bit_by_bit.prefill(tokens[start : start + 97])
    assert at_once.prefill(tokens).sub(last).abs().max() < 1e-4
    rows = stepper.open().step(tokens)
    assert rows.shape == (1500, 1024) and rows[-1].sub(last).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"context": 0}, "context 0 is out of range.*up to 512"),
        ({"context": 1024}, "context 1024 is out of range.*up to 512"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"kv_precision": "q4"}, "kv_precision 'q4' is unknown; known are f32, f16, q8_0"),
        ({"precision": "q8_0"}, "is a file, whose precision is fixed"),
    ],
)
def test_options_without_meaning(edge: Path, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ModelServerError, match=complaint):
        load(str(edge), **options)


def test_options_with_meaning(edge: Path) -> None:
    server = load(str(edge), context=100, threads=2, kv_precision="q8_0", gpu_layers=1)
    assert server.info.extra["context_length"] == 100 and server.info.extra["threads"] == 2
    assert server.generate(PROMPT, SamplingParams(max_tokens=5)).completion_tokens == 5
    with pytest.raises(ModelServerError, match="context of 100"):
        server.generate(PROMPT, SamplingParams(max_tokens=99))
    server.close()


def test_a_closed_server_says_so(edge: Path) -> None:
    server = load(str(edge))
    stepper = server.stepper()
    session = stepper.open()
    session.prefill([5])
    server.close()
    server.close()
    for use in (
        lambda: server.generate("A"),
        server.stepper,
        lambda: session.step([6]),
        lambda: session.rollback(1),
        session.fork,
        stepper.open,
        lambda: stepper.encode("A"),
        lambda: stepper.decode([5]),
    ):
        with pytest.raises(ModelServerError, match="is closed; load it again"):
            use()
    session.close()


def test_a_checkpoint_is_converted_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IANVS_COLLAB_CACHE", str(tmp_path))
    first = load("zoo:edge", precision="q8_0")
    (kept,) = (tmp_path / "gguf").glob("*-q8_0.gguf")
    stamp = kept.stat().st_mtime_ns
    again = load("zoo:edge", precision="q8_0")
    assert kept.stat().st_mtime_ns == stamp and first.info == again.info
    assert (first.info.model, first.info.dtype) == ("zoo:edge", "q8_0")
    assert load("zoo:edge").info.dtype == "float16"
    assert sorted(path.suffix for path in (tmp_path / "gguf").iterdir()) == [".gguf", ".gguf"]


def test_models_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelServerError, match=r"no file .*absent\.gguf; give a \*\.gguf file, or a checkpoint"):
        load(str(tmp_path / "absent.gguf"))
    monkeypatch.setattr("ianvs_collab.modelserver.locate._hub", lambda name: name)
    with pytest.raises(ModelServerError, match="lies on a hub.*hf download some/model"):
        load("some/model")
    with pytest.raises(ModelServerError, match="precision 'q8' is unknown; did you mean 'q8_0'"):
        load("zoo:edge", precision="q8")
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("IANVS_COLLAB_CACHE", str(tmp_path / "taken"))
    with pytest.raises(ModelServerError, match="cannot be kept in .*IANVS_COLLAB_CACHE"):
        load("zoo:edge")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.99])
def test_a_file_without_its_end_is_refused(edge: Path, tmp_path: Path, part: float) -> None:
    content = edge.read_bytes()
    short = tmp_path / "short.gguf"
    short.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelServerError, match=r"llama\.cpp cannot load .*short\.gguf: .*copy it again"):
        load(str(short))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "model.safetensors"
    other.write_bytes(b"\x00" * 100)
    with pytest.raises(ModelServerError, match="is not a GGUF file.*`ianvs model convert"):
        load(str(other))


def test_a_context_that_does_not_fit_is_refused(edge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ianvs_collab.modelserver.backends.llamacpp import context

    api = context.llama()
    monkeypatch.setattr(api, "llama_init_from_model", lambda *_: None)
    with pytest.raises(ModelServerError, match="cannot run .* with a context of 512 tokens.*smaller `context`"):
        load(str(edge))


def test_greedy_decoding_loads_no_pytorch(edge: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom ianvs_collab.modelserver.backends.llamacpp import load\n"
        f"print(load({str(edge)!r}).generate('12 + 34 =').text)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() and not done.stderr  # nor does llama.cpp print anything
