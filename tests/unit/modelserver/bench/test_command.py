"""`ianvs model bench` from its command line to its table and file, over sound servers and every kind of broken one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ianvs_collab.cli import main
from ianvs_collab.modelserver import registry
from ianvs_collab.modelserver.bench import Load, Measurement, Plan, bench, figures
from ianvs_collab.modelserver.bench.session import lateness
from ianvs_collab.modelserver.types import ModelInfo

DONE = b"data: [DONE]\n\n"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(f"prompt {number}" for number in range(12)), encoding="utf-8")
    return str(file)


@pytest.fixture
def over_http(endpoint: Any, prompts: str, tmp_path: Path) -> Any:
    """Benches the scripted endpoint; returns status and document."""

    def run(*more: str, requests: int = 4) -> tuple[int, dict[str, Any]]:
        output = tmp_path / "result.json"
        command = ["model", "bench", "--backend", "openai", "--model", "tiny", "--base-url", endpoint.base_url]
        command += ["--prompts", prompts, "--warm-up", "1", "--requests", str(requests), "--output", str(output), *more]
        status = main(command)
        return status, json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}

    return run


def answer(endpoint: Any, tokens: int = 3) -> list[bytes | str]:
    pieces = [endpoint.piece(f"w{number} ") for number in range(tokens)]
    reply: list[bytes | str] = endpoint.stream(*pieces, endpoint.piece("", "length"), endpoint.usage(9, tokens), DONE)
    return reply


@pytest.fixture
def fake_backend(fake: Any, make_generation: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A back-end `fake` whose servers are kept in the list."""
    servers: list[Any] = []

    def load(model: str, *, device: str = "cpu") -> Any:
        info = ModelInfo(model, "fake", revision="sha256:1", device=device)
        servers.append(fake(lambda prompt: make_generation(0.001, 0.002), info))
        return servers[-1]

    monkeypatch.setitem(registry._registered, "fake", load)
    yield servers


def test_a_sound_server_gets_its_table_and_its_file(over_http: Any, endpoint: Any, capsys: Any) -> None:
    endpoint.replies = [answer(endpoint) for _ in range(5)]
    status, found = over_http("--slo", "ttft=5,e2e=9", "--max-tokens", "3")
    shown = capsys.readouterr().out
    assert status == 0
    assert "answered 4, failed 0, timed out 0" in shown
    assert "goodput, requests/s" in shown
    assert "p99 of 4 answers is close to the largest" in shown
    assert [request.body["prompt"] for request in endpoint.requests] == [f"prompt {n}" for n in (4, 0, 1, 2, 3)]
    assert {request.body["max_tokens"] for request in endpoint.requests} == {3}
    assert not any("seed" in request.body for request in endpoint.requests)
    assert (found["requests"], found["repeats"], found["warm_up"], found["max_tokens"]) == (4, 1, 1, 3)
    assert found["load"] == {"kind": "single"}
    assert found["slos_s"] == {"ttft": 5, "e2e": 9}
    assert found["model"]["backend"] == "openai"
    assert found["peak_rss_bytes"] is None
    assert {"machine", "versions", "seed", "load_s", "remarks"} <= set(found)


def test_the_file_has_all_to_compute_its_figures_again(over_http: Any, endpoint: Any) -> None:
    endpoint.replies = [answer(endpoint, 4) for _ in range(5)]
    _, found = over_http("--slo", "ttft=5")
    (run,) = found["runs"]
    rows = [Measurement(**{**row, "commits": tuple(row["commits"])}) for row in run["requests"]]
    again = figures(rows, found["slos_s"])
    assert again.throughput == run["figures"]["throughput"] == found["figures"]["throughput"]["value"]
    assert again.output_tokens == run["vllm_bench_serve"]["total_output_tokens"] == 16
    tpot = again.latencies["tpot"]
    assert tpot is not None
    assert tpot.p50 == found["figures"]["tpot.p50"]["value"] == run["vllm_bench_serve"]["median_tpot_ms"] / 1000
    interval = found["figures"]["tpot.p50"]
    assert interval["low"] <= interval["value"] <= interval["high"]


@pytest.mark.parametrize(
    "fault",
    [
        ("fails", "error", "HTTP 500. It said: boom"),
        ("hangs", "timeout", "within 0.5 s"),
        ("cut", "error", "in the middle of an answer"),
        ("silent", "timeout", "0.5 s"),
        ("no usage", "error", "does not report token counts"),
        ("web page", "error", "not the OpenAI protocol"),
    ],
    ids=lambda fault: fault[0],
)
def test_a_request_that_fails_is_counted_once_and_says_why(
    over_http: Any, endpoint: Any, capsys: Any, fault: tuple[str, str, str]
) -> None:
    name, outcome, words = fault
    begun = endpoint.stream(endpoint.piece("w0 "), end=False)
    broken = {
        "fails": endpoint.json({"error": {"message": "boom"}}, 500),
        "hangs": [endpoint.HANG],
        "cut": [*begun, endpoint.CLOSE],
        "silent": [*begun, endpoint.HANG],
        "no usage": endpoint.stream(endpoint.piece("w0 ", "stop"), DONE),
        "web page": endpoint.plain(b"<html>hello</html>", "text/html"),
    }[name]
    endpoint.replies = [answer(endpoint), answer(endpoint), broken, answer(endpoint), answer(endpoint)]
    status, found = over_http("--timeout", "0.5")
    shown = capsys.readouterr().out
    assert status == 0
    (run,) = found["runs"]
    assert [row["outcome"] for row in run["requests"]] == ["ok", outcome, "ok", "ok"]
    assert words in run["requests"][1]["error"]
    assert words in shown
    assert (run["figures"]["completed"], run["figures"]["requests"]) == (3, 4)
    assert len(endpoint.requests) == 5  # it was not asked a second time


def test_a_server_that_answers_nothing_fails_the_bench(over_http: Any, endpoint: Any, capsys: Any) -> None:
    endpoint.replies = [answer(endpoint)] + [endpoint.json({"error": {"message": "boom"}}, 500)] * 4
    status, found = over_http()
    assert status == 1
    assert "no request was answered" in capsys.readouterr().err
    assert found["figures"]["ttft.p50"]["value"] is None
    assert found["runs"][0]["figures"]["errors"] == 4


def test_a_warm_up_that_fails_ends_the_bench_before_it_begins(over_http: Any, endpoint: Any, capsys: Any) -> None:
    endpoint.replies = [endpoint.json({"error": {"message": "boom"}}, 500)]
    status, found = over_http()
    told = capsys.readouterr()
    assert (status, found, told.out) == (1, {}, "")
    assert "boom" in told.err
    assert "nothing was measured" in told.err


def test_sampling_has_the_seed_of_the_command_line(over_http: Any, endpoint: Any) -> None:
    endpoint.replies = [answer(endpoint) for _ in range(2)]
    _, found = over_http("--temperature", "0.7", "--seed", "9", requests=1)
    assert [(request.body["temperature"], request.body["seed"]) for request in endpoint.requests] == [(0.7, 9)] * 2
    assert found["temperature"] == 0.7


def test_pieces_that_are_fewer_than_tokens_are_pointed_out(over_http: Any, endpoint: Any, capsys: Any) -> None:
    bundled = endpoint.stream(endpoint.piece("w0 w1 "), endpoint.piece("w2", "stop"), endpoint.usage(9, 4), DONE)
    endpoint.replies = [bundled] * 5
    _, found = over_http("--option", "concurrency=1")
    assert "in 4 of 4 answers pieces of text are fewer than tokens" in capsys.readouterr().out
    assert {row["exact"] for row in found["runs"][0]["requests"]} == {False}


def fake_bench(prompts: str, *more: str) -> int:
    return main(["model", "bench", "--backend", "fake", "--model", "m", "--prompts", prompts, *more])


def test_repeats_ask_other_prompts_and_are_summed_up(
    fake_backend: list[Any], prompts: str, tmp_path: Path, capsys: Any
) -> None:
    output = tmp_path / "result.json"
    more = ["--requests", "4", "--repeats", "2", "--load", "concurrency", "--concurrency", "2", "--output", str(output)]
    assert fake_bench(prompts, *more) == 0
    (server,) = fake_backend
    assert server.asked[:3] == [f"prompt {number}" for number in (8, 9, 10)]
    assert sorted(server.asked[3:7]) == [f"prompt {number}" for number in range(4)]
    assert sorted(server.asked[7:]) == [f"prompt {number}" for number in range(4, 8)]
    found = json.loads(output.read_text(encoding="utf-8"))
    assert len(found["runs"]) == 2
    assert found["load"] == {"kind": "concurrency", "concurrency": 2}
    assert found["peak_rss_bytes"] > 10_000_000
    each = [run["figures"]["throughput"] for run in found["runs"]]
    assert found["figures"]["throughput"]["value"] == pytest.approx(sum(each) / 2)
    assert "4 requests, 2 repeats" in capsys.readouterr().out


def test_an_open_loop_keeps_the_schedule_of_its_seed(fake_backend: list[Any], prompts: str, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    more = ["--load", "bursty", "--rate", "400", "--burstiness", "0.5", "--requests", "6", "--max-lateness", "20000"]
    assert fake_bench(prompts, *more, "--seed", "5", "--output", str(output)) == 0
    first = json.loads(output.read_text(encoding="utf-8"))
    assert fake_bench(prompts, *more, "--seed", "5", "--output", str(output)) == 0
    second = json.loads(output.read_text(encoding="utf-8"))
    due = [[row["scheduled"] for row in found["runs"][0]["requests"]] for found in (first, second)]
    assert due[0] == due[1]
    assert first["open_loop"]["kept"] is True
    assert 0 <= first["open_loop"]["p99"] <= first["open_loop"]["most"]


def test_arrivals_of_a_file_decide_how_many_requests_there_are(
    fake_backend: list[Any], prompts: str, tmp_path: Path
) -> None:
    (tmp_path / "arrivals").write_text("0\n0.001\n0.002\n", encoding="utf-8")
    output = tmp_path / "result.json"
    more = ["--load", "trace", "--arrivals", str(tmp_path / "arrivals"), "--max-lateness", "20000"]
    assert fake_bench(prompts, *more, "--output", str(output)) == 0
    found = json.loads(output.read_text(encoding="utf-8"))
    assert [row["scheduled"] for row in found["runs"][0]["requests"]] == [0, 0.001, 0.002]


def test_too_few_arrivals_are_noticed_before_the_model_is_loaded(
    fake_backend: list[Any], prompts: str, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "arrivals").write_text("0\n0.001\n", encoding="utf-8")
    more = ["--load", "trace", "--arrivals", str(tmp_path / "arrivals"), "--requests", "3"]
    assert fake_bench(prompts, *more) == 1
    assert "has 2 of 3 requests; lower --requests" in capsys.readouterr().err
    assert fake_backend == []


def test_a_loop_that_does_not_keep_its_schedule_is_not_called_open(
    fake_backend: list[Any], prompts: str, capsys: Any
) -> None:
    assert fake_bench(prompts, "--load", "poisson", "--rate", "500", "--requests", "5", "--max-lateness", "1e-6") == 1
    told = capsys.readouterr()
    assert "NOT an open loop" in told.out
    assert "this was no open loop" in told.err


def test_lateness_is_that_of_the_latest_percent(make_request: Any) -> None:
    run = [make_request(number, 0.0, 1.0, late=0.001 * number) for number in range(101)]
    found = lateness([run], bound=0.1)
    assert (found.p99, found.most, found.kept) == (pytest.approx(0.099), pytest.approx(0.1), True)
    assert not lateness([run], bound=0.09).kept


@pytest.mark.parametrize(
    "case",
    [
        ("transformers", Load("offline"), [2, 1], "`generate_batch` with up to 2 requests"),
        ("transformers", Load("poisson", rate=300.0), [], "answers one request at a time"),
        ("transformers", Load("single"), [], None),
        ("fake", Load("offline"), [], "every request was sent on its own"),
        ("fake", Load("concurrency", concurrency=2), [], None),
    ],
)
def test_how_a_back_end_serves_several_requests_is_said(
    fake: Any, make_generation: Any, prompts: str, monkeypatch: Any, case: tuple[str, Load, list[int], str | None]
) -> None:
    backend, load, batches, words = case
    server = fake(lambda prompt: make_generation(0.001, 0.002))
    monkeypatch.setattr("ianvs_collab.modelserver.bench.session.load_model", lambda *named, **options: server)
    found = bench(Plan(backend, "m", load, prompts=prompts, requests=3, batch=2))
    assert server.batches == batches
    assert [words in remark for remark in found.remarks if words] == ([True] if words else [])
    assert bool(found.remarks) == bool(words)


def test_prompts_that_repeat_are_pointed_out(fake_backend: list[Any], prompts: str) -> None:
    found = bench(Plan("fake", "m", Load("single"), prompts=prompts, requests=20))
    assert found.remarks == [
        "23 requests share 12 prompts: a server that keeps prefixes answers the repeated ones sooner"
    ]


def test_a_real_model_is_benched_in_every_way(checkpoint: Path, prompts: str, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    for load in (["single"], ["offline"], ["concurrency", "--concurrency", "2"], ["constant", "--rate", "50"]):
        command = ["--load", *load, "--requests", "4", "--max-tokens", "5", "--warm-up", "1", "--output", str(output)]
        command += ["--max-lateness", "20000", "--option", "dtype=float32", "--prompts", prompts]
        assert main(["model", "bench", "--backend", "transformers", "--model", str(checkpoint), *command]) == 0
        found = json.loads(output.read_text(encoding="utf-8"))
        (run,) = found["runs"]
        assert run["figures"]["completed"] == 4
        assert found["model"]["dtype"] == "float32"
        assert found["load_s"] > 0
        assert found["model"]["footprint"]["weight_bytes"] > 0
        for row in run["requests"]:
            assert row["scheduled"] <= row["sent"] < row["commits"][0] <= row["last"] <= row["ended"]


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--load", "poisson"], "needs --rate"),
        (["--load", "poisson", "--rate", "-1"], "must be a number above 0"),
        (["--load", "poisson", "--rate", "soon"], "must be a number above 0"),
        (["--rate", "1"], "means nothing to the load 'single'"),
        (["--batch-size", "4"], "--batch-size means nothing to the load 'single'"),
        (["--load", "trace", "--arrivals", "absent"], "cannot be read as text"),
        (["--slo", "speed=1"], "'speed' is none of ttft, tpot, e2e"),
        (["--slo", "ttft"], "must be a number above 0"),
        (["--option", "dtype"], "write key=value"),
        (["--option", "dtype=[1"], "is not YAML"),
        (["--requests", "0"], "at least 1"),
        (["--warm-up", "x"], "at least 0"),
        (["--temperature", "-1"], "must be 0"),
    ],
)
def test_a_wrong_command_line_is_refused(capsys: Any, more: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["model", "bench", "--backend", "fake", "--model", "m", *more])
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(
    fake_backend: list[Any], prompts: str, tmp_path: Path, capsys: Any
) -> None:
    target = tmp_path / "absent" / "result.json"
    assert fake_bench(prompts, "--requests", "1", "--output", str(target)) == 1
    assert f"{target}: cannot be written" in capsys.readouterr().err


def test_a_model_that_does_not_exist_is_named(capsys: Any) -> None:
    assert main(["model", "bench", "--backend", "nowhere", "--model", "m"]) == 1
    assert "there is no back-end 'nowhere'" in capsys.readouterr().err


def test_the_command_is_listed(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["model", "--help"])
    assert "bench" in capsys.readouterr().out
