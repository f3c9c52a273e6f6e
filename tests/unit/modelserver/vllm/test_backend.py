"""What the vLLM back-end makes of vLLM's steps, options and failures; the real vLLM is in the integration tests."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ianvs_collab.modelserver import ModelServerError, SamplingParams
from ianvs_collab.modelserver.backends.vllm import library, load
from ianvs_collab.modelserver.backends.vllm.memory import children

CHAT = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def quiet_logger() -> Any:
    """The level that the back-end gives vLLM's logger does not reach the next test."""
    logger = logging.getLogger("vllm")
    yield
    logger.setLevel(logging.NOTSET)


def test_tokens_text_times_and_probabilities_are_put_together(package: Any, checkpoint: Path) -> None:
    server = load(str(checkpoint))
    before = time.monotonic()
    found = server.generate("12 + 34", SamplingParams(logprobs=True, stop=("z",)), query_id="q")
    took = time.monotonic() - before
    assert (found.text, found.token_ids, found.finish_reason) == ("ab", (3, 4, 0), "stop")
    assert found.logprobs == (-3.0, -4.0, 0.0)
    assert found.completion_tokens == 3
    assert found.prompt_tokens == len(package.tokenizer("12 + 34")["input_ids"])
    assert 0 < found.token_times[0] < found.token_times[1] == found.token_times[2] <= found.duration <= took
    _, params = package.engine.begun[-1]
    assert (params.temperature, params.logprobs, params.stop, params.output_kind) == (0.0, 0, ["z"], "delta")
    server.close()


def test_times_are_those_that_the_engine_noted_not_those_of_arrival(
    package: Any, checkpoint: Path, scripted: Callable[..., Any]
) -> None:
    server = load(str(checkpoint))
    package.engine.script = [scripted([3], late=-100.0), scripted([4], late=200.0, finish="length")]
    first, second = server.generate("a").token_times
    assert first == pytest.approx(-100, abs=10)
    assert second == pytest.approx(200, abs=10)
    server.close()


def test_a_chat_goes_through_the_template_and_its_values(package: Any, checkpoint: Path) -> None:
    server = load(str(checkpoint), chat_template_kwargs={"greeting": "Hi"})
    server.generate(CHAT)
    (prompt, _) = package.engine.begun[-1]
    assert package.tokenizer.decode(prompt["prompt_token_ids"]) == "[user] hello\n[assistant] Hi"
    other = load(str(checkpoint), chat_template="{{ messages[0]['content'] }}!")
    other.generate(CHAT)
    (prompt, _) = package.engine.begun[-1]
    assert package.tokenizer.decode(prompt["prompt_token_ids"]) == "hello!"
    for each in (server, other):
        each.close()


def test_without_a_chat_template_messages_are_refused(package: Any, checkpoint: Path) -> None:
    package.tokenizer.chat_template = None
    server = load(str(checkpoint))
    with pytest.raises(ModelServerError, match="no chat template"):
        server.generate(CHAT)
    server.close()


def test_a_batch_is_given_to_vllm_together(package: Any, checkpoint: Path) -> None:
    server = load(str(checkpoint))
    package.engine.begun.clear()
    answers = server.generate_batch(["a", "b c", "d"], SamplingParams(temperature=0.5, top_p=0.9, top_k=3, seed=1))
    assert [answer.token_ids for answer in answers] == [(3, 4, 0)] * 3
    assert [answer.logprobs for answer in answers] == [None] * 3
    assert len(package.engine.begun) == 3
    _, params = package.engine.begun[0]
    assert (params.temperature, params.top_p, params.top_k, params.seed) == (0.5, 0.9, 3, 1)
    assert server.generate_batch([]) == []
    server.close()


def test_what_the_user_left_open_is_decided_for_a_cpu(package: Any, checkpoint: Path) -> None:
    load(str(checkpoint)).close()
    given = package.arguments
    assert (given["dtype"], given["enforce_eager"], given["kv_cache_memory_bytes"]) == ("float32", True, 1 << 30)
    assert (given["enable_prefix_caching"], given["disable_log_stats"], given["runner"]) == (False, False, "generate")
    assert given["model"] == str(checkpoint)
    assert not given["trust_remote_code"]
    assert {"quantization", "max_model_len", "gpu_memory_utilization", "max_num_seqs", "revision"}.isdisjoint(given)


def test_on_a_gpu_vllm_decides(package: Any, checkpoint: Path) -> None:
    package.cpu = False
    server = load(str(checkpoint), tensor_parallel_size=2, gpu_memory_utilization=0.5)
    given = package.arguments
    assert (given["dtype"], given["enforce_eager"]) == ("auto", False)
    assert (given["tensor_parallel_size"], given["gpu_memory_utilization"]) == (2, 0.5)
    assert "kv_cache_memory_bytes" not in given
    assert server.info.device == "2 x cuda"
    server.close()


def test_the_users_own_cache_size_stands(package: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(str(checkpoint), kv_cache_memory_gb=0.5).close()
    assert package.arguments["kv_cache_memory_bytes"] == 1 << 29
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "2")
    load(str(checkpoint), engine_args={"cpu_offload_gb": 4}, dtype="bfloat16", enforce_eager=False).close()
    assert "kv_cache_memory_bytes" not in package.arguments
    assert package.arguments["cpu_offload_gb"] == 4
    assert (package.arguments["dtype"], package.arguments["enforce_eager"]) == ("bfloat16", False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float8"}, "dtype 'float8' is unknown"),
        ({"threads": 0}, "threads must be more than 0, not 0"),
        ({"max_model_len": -1}, "max_model_len must be more than 0"),
        ({"kv_cache_memory_gb": 0}, "kv_cache_memory_gb must be more than 0"),
        ({"engine_args": {"disable_log_stats": True}}, "cannot hold 'disable_log_stats'"),
        ({"engine_args": {"max_model_len": 8}}, "'max_model_len', which is an option of its own"),
    ],
)
def test_options_without_meaning_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelServerError, match=words):
        load("zoo:edge", **options)


def test_threads_and_defaults_are_there_while_vllm_starts_and_gone_after(
    package: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    seen = {}
    start = package.LLM

    def watched(**arguments: Any) -> Any:
        seen.update(os.environ)
        os.environ["LD_PRELOAD_FOR_TEST"] = "vllm's own"
        return start(**arguments)

    package.LLM = watched
    before = dict(os.environ)
    load(str(checkpoint), threads=2).close()
    assert (seen["OMP_NUM_THREADS"], seen["VLLM_CPU_OMP_THREADS_BIND"]) == ("2", "nobind")
    assert seen["VLLM_NO_USAGE_STATS"] == "1"
    assert dict(os.environ) == before
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "0")
    load(str(checkpoint)).close()
    assert seen["VLLM_NO_USAGE_STATS"] == "0"


def test_a_checkpoint_with_other_weights_beside_it_is_given_without_them(package: Any) -> None:
    server = load("zoo:cloud")
    folder = Path(package.arguments["model"])
    assert [file.name for file in folder.glob("*.safetensors")] == ["model.safetensors"]
    assert server.info.revision == load_revision("zoo:cloud")
    server.close()
    assert not folder.exists()


def load_revision(name: str) -> str:
    from ianvs_collab.modelserver import fingerprint, resolve_model

    return fingerprint(resolve_model(name))


def test_provenance_and_footprint(package: Any, checkpoint: Path) -> None:
    server = load(str(checkpoint), engine_args={"swap_space": 1})
    info = server.info
    assert (info.backend, info.dtype, info.device, info.remote_code) == ("vllm", "float32", "cpu", False)
    assert info.parameters is not None
    assert info.footprint is not None
    assert info.footprint.weight_bytes == 4 * info.parameters
    assert info.footprint.kv_bytes_per_token == 128
    assert info.footprint.peak_rss_bytes > 1e8
    assert info.footprint.load_s > 0
    assert info.extra["engine_args"] == {"swap_space": 1}
    assert info.extra["context_length"] == 128
    assert info.extra["torch"]
    assert "vllm" not in info.extra  # there is only the stand-in
    server.close()


def test_a_model_that_vllm_quantises_has_no_known_size(package: Any, checkpoint: Path) -> None:
    package.quantization = "fp8"
    server = load(str(checkpoint), quantization="fp8")
    assert (server.info.dtype, server.info.parameters, server.info.footprint) == ("fp8", None, None)
    server.close()


def test_a_checkpoint_that_is_quantised_has_the_size_of_its_files(package: Any, checkpoint: Path) -> None:
    package.quantization = "awq"
    package.hf_config = SimpleNamespace(_commit_hash="abc123", quantization_config={"quant_method": "awq"})
    server = load(str(checkpoint))
    assert server.info.revision == "abc123"
    assert server.info.footprint is not None
    size = (checkpoint / "model.safetensors").stat().st_size
    assert 0.8 * size < server.info.footprint.weight_bytes < size
    server.close()


def test_a_hub_model_that_is_not_on_this_machine_has_no_footprint(
    package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ianvs_collab.modelserver.backends.vllm.loading.resolve_model", lambda name: name)
    package.hf_config = SimpleNamespace(_commit_hash=None)
    server = load("nobody/nothing-of-the-kind", revision="v1")
    assert (server.info.revision, server.info.footprint) == (None, None)
    assert package.arguments["revision"] == "v1"
    server.close()
    package.failure = OSError("cannot reach the hub")
    with pytest.raises(ModelServerError, match="hf download nobody/nothing-of-the-kind"):
        load("nobody/nothing-of-the-kind")


def test_prompts_that_do_not_fit_are_refused_before_vllm_sees_them(package: Any, checkpoint: Path) -> None:
    server = load(str(checkpoint))
    package.engine.begun.clear()
    with pytest.raises(ModelServerError, match=r"need 201 tokens.*context of 128.*max_model_len"):
        server.generate("a", SamplingParams(max_tokens=200))
    with pytest.raises(ModelServerError, match="empty prompt"):
        server.generate("", SamplingParams(max_tokens=4))
    assert package.engine.begun == []
    server.close()


def test_a_step_that_fails_leaves_no_request_behind(
    package: Any, checkpoint: Path, scripted: Callable[..., Any]
) -> None:
    server = load(str(checkpoint))
    package.engine.script = [scripted([3]), RuntimeError("out of pages")]
    with pytest.raises(ModelServerError, match=r"failed while model .* was answering: out of pages; load the model"):
        server.generate_batch(["a", "b"], SamplingParams(max_tokens=4))
    assert len(package.engine.aborted) == 2
    assert package.engine.requests == {}
    package.engine.script = [scripted([5], "ok", "length")]
    assert server.generate("a", SamplingParams(max_tokens=1)).finish_reason == "length"
    server.close()


def test_an_interrupt_is_passed_on_and_leaves_no_request_behind(package: Any, checkpoint: Path) -> None:
    server = load(str(checkpoint))
    package.engine.script = [KeyboardInterrupt()]
    package.engine.abort_request = lambda *_, **__: (_ for _ in ()).throw(RuntimeError("dead"))
    with pytest.raises(RuntimeError, match="KeyboardInterrupt"):
        raised(lambda: server.generate("a", SamplingParams(max_tokens=4)))
    server.close()


def raised(deed: Callable[[], object]) -> None:
    """Tell pytest of an interrupt, which would else end its run."""
    try:
        deed()
    except KeyboardInterrupt as interrupt:
        raise RuntimeError("KeyboardInterrupt") from interrupt


def test_closing_ends_the_engine_once(package: Any, checkpoint: Path) -> None:
    server = load(str(checkpoint))
    server.close()
    server.close()
    assert package.engine.down == 1
    with pytest.raises(ModelServerError, match="is closed"):
        server.generate("a")


def test_a_server_that_nobody_closed_ends_its_engine_when_it_goes(package: Any, checkpoint: Path) -> None:
    load(str(checkpoint))
    gc.collect()
    assert package.engine.down == 1


def test_a_failed_start_names_the_cause_that_a_worker_printed(
    package: Any, checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    package.says = (
        "(Worker pid=7) INFO 11-21 19:14:00 [loader.py:8] Loading\n"
        "(Worker pid=7) ERROR 11-21 19:14:00 [executor.py:9] Traceback (most recent call last):\n"
        "(Worker pid=7) ERROR 11-21 19:14:00 [executor.py:9]     raise ValueError(msg)\n"
        "(Worker pid=7) ERROR 11-21 19:14:00 [executor.py:9] ValueError: There is no module named 'norms'\n"
        "(EngineCore pid=6) ERROR 11-21 19:14:06 [core.py:9] Exception: WorkerProc initialization failed due to ...\n"
    )
    package.failure = RuntimeError("Engine core initialization failed. See root cause above.")
    with pytest.raises(ModelServerError) as caught:
        load(str(checkpoint))
    assert str(caught.value).endswith("ValueError: There is no module named 'norms'")
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (
            ValueError("max_model_len (9)\n  is too large"),
            r"vLLM cannot load model .*: max_model_len \(9\) is too large",
        ),
        (ValueError("pass trust_remote_code=True"), "--trust-remote-code"),
        (AssertionError(), "AssertionError"),
        (RuntimeError("Engine core initialization failed."), "Engine core initialization failed"),
    ],
)
def test_other_failures_to_start_are_told_in_one_line(
    package: Any, checkpoint: Path, failure: Exception, words: str
) -> None:
    package.failure = failure
    with pytest.raises(ModelServerError, match=words) as caught:
        load(str(checkpoint))
    assert "\n" not in str(caught.value)


def test_where_vllm_is_missing_the_two_ways_to_it_are_named(monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
    library.vllm.cache_clear()
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelServerError) as caught:
        load(str(checkpoint))
    for words in ("scripts/setup-vllm-cpu", "vllm serve", "'openai'", sys.executable, library.HOW_TO):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "failure", [ModuleNotFoundError("No module named 'torchvision'", name="torchvision"), RuntimeError("nms")]
)
def test_a_broken_vllm_is_told_from_a_missing_one(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Path, failure: Exception
) -> None:
    class Broken(ModuleType):
        def __getattr__(self, name: str) -> Any:
            raise failure

    library.vllm.cache_clear()
    monkeypatch.setitem(sys.modules, "vllm", Broken("vllm"))
    with pytest.raises(ModelServerError, match=r"is installed in .*, but cannot be imported .*setup-vllm-cpu"):
        load(str(checkpoint))


def test_the_how_to_that_messages_name_exists(repository: Path) -> None:
    assert (repository / library.HOW_TO).is_file()
    assert os.access(repository / "scripts" / "setup-vllm-cpu", os.X_OK)


def test_vllm_s_own_log_level_is_left_to_who_set_it(
    package: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(str(checkpoint)).close()
    assert logging.getLogger("vllm").level == logging.WARNING
    logging.getLogger("vllm").setLevel(logging.DEBUG)
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    load(str(checkpoint)).close()
    assert logging.getLogger("vllm").level == logging.DEBUG


def test_children_of_this_process_are_known_by_their_ids() -> None:
    import subprocess

    before = children()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert children() - before == {process.pid}
        process.communicate(b"\n")
