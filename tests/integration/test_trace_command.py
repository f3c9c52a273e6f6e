"""`ianvs trace`: recorded with a back-end of the test's own, whose answers and times are always the same."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianvs_collab.cli import main
from ianvs_collab.modelserver import shared
from ianvs_collab.routing.traces import read_trace

_path = Path(__file__).parents[1] / "unit" / "job" / "isolation.py"
_spec = importlib.util.spec_from_file_location("isolation", _path)
assert _spec is not None and _spec.loader is not None
_isolation = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_isolation)

SCRIPT = Path(sys.executable).with_name("ianvs")
Capture = pytest.CaptureFixture[str]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]

JOB = """\
benchmarkingjob:
  name: demo
  workspace: ./workspace
  testenv: ./testenv.yaml
  test_object:
    type: algorithms
    algorithms:
      - {name: alone, url: ./alone.yaml}
      - {name: first, url: ./first.yaml}
      - {name: second, url: ./second.yaml}
  rank:
    sort_by: [{exact: descend}]
    visualization: {mode: selected_only, method: print_table}
    selected_dataitem: {paradigms: [all], modules: [all], hyperparameters: [all], metrics: [all]}
    save_mode: selected_and_all
"""

TESTENV = """\
testenv:
  dataset:
    train_data_info: ./train/metadata.json
    test_data_info: ./test/metadata.json
  metrics:
    - {name: exact, url: ./plugins.py}
"""

ALONE = """\
algorithm:
  paradigm_type: singletasklearning
  modules:
    - {type: basemodel, name: Foreign, url: ./plugins.py}
"""

ALGORITHM = """\
algorithm:
  paradigm_type: jointinference
  modules:
    - {type: dataset_processor, name: QueryProcessor, url: ./plugins.py}
    - type: edgemodel
      name: EdgeModel
      url: ./plugins.py
      hyperparameters:
        - backend: {values: [scripted]}
        - model: {values: [EDGE]}
    - type: cloudmodel
      name: CloudModel
      url: ./plugins.py
      hyperparameters:
        - backend: {values: [scripted]}
        - model: {values: [large]}
    - {type: hard_example_mining, name: Never, url: ./plugins.py}
"""

FOREIGN = """\
algorithm:
  paradigm_type: jointinference
  modules:
    - {type: dataset_processor, name: QueryProcessor, url: ./plugins.py}
    - {type: edgemodel, name: Foreign, url: ./plugins.py}
    - {type: cloudmodel, name: Foreign, url: ./plugins.py}
    - {type: hard_example_mining, name: Never, url: ./plugins.py}
"""

PLUGINS = """\
import time
from pathlib import Path

from sedna.common.class_factory import ClassFactory, ClassType

from ianvs_collab.inference import QueryProcessor
from ianvs_collab.inference.models import CloudModel, EdgeModel
from ianvs_collab.modelserver import register_backend
from ianvs_collab.modelserver.types import Generation, ModelInfo, ModelTimeoutError


class Scripted:
    def __init__(self, name):
        self.info = ModelInfo(name, "scripted")

    def generate(self, prompt, params, *, query_id=None):
        if Path("slow").exists():
            time.sleep(0.1)
        text = prompt[-1]["content"]
        if Path("interrupt").exists() and "question 2" in text:
            raise KeyboardInterrupt
        if self.info.model == "large" and Path("down").exists() and "question 2" in text:
            raise ModelTimeoutError("no answer within a second")
        right = self.info.model == "large" or "question 0" in text
        answer = "A. yes" if right and (params.seed or 0) % 2 == 0 else "B. no"
        return Generation(answer, 12, 2, (0.5, 0.75), logprobs=(-0.25, -0.5) if params.logprobs else None)

    def generate_batch(self, prompts, params):
        return [self.generate(prompt, params) for prompt in prompts]

    def close(self):
        with open("closed.txt", "a") as file:
            file.write(self.info.model + "\\n")


@register_backend("scripted")
def load(model):
    return Scripted(model)


class Foreign:
    def predict(self, data, **_):
        return {"completion": "A"}

    inference = predict


class SameIds(QueryProcessor):
    def __call__(self, dataset):
        dataset = super().__call__(dataset)
        for query in dataset.x:
            query["query_id"] = "same"
        return dataset


class Untidy(EdgeModel):
    def cleanup(self):
        super().cleanup()
        raise ValueError("the broom is broken")


for plugin in (QueryProcessor, SameIds, EdgeModel, CloudModel, Foreign, Untidy):
    ClassFactory.register(ClassType.GENERAL, alias=plugin.__name__)(plugin)


@ClassFactory.register(ClassType.HEM, alias="Never")
class Never:
    def __init__(self):
        raise ValueError("a recording makes no router")


@ClassFactory.register(ClassType.GENERAL, alias="exact")
def exact(y_true, y_pred):
    return 0.0
"""


def write_data(folder: Path, part: str, count: int, answer: str = "A") -> None:
    (folder / part).mkdir(exist_ok=True)
    metadata = {"dataset": part, "description": "d", "level_1_dim": "x", "level_2_dim": "y"}
    (folder / part / "metadata.json").write_text(json.dumps(metadata))
    row = {"prompt": "", "response": answer, "explanation": "", "level_3_dim": "en", "level_4_dim": "s"}
    rows = [{**row, "query": f"{part} question {n}?\nA. yes\nB. no\nAnswer:"} for n in range(count)]
    (folder / part / "data.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A job in the working directory: the edge is right once, the cloud always."""
    files = {"job.yaml": JOB, "testenv.yaml": TESTENV, "plugins.py": PLUGINS, "alone.yaml": ALONE}
    files |= {"first.yaml": ALGORITHM.replace("EDGE", "small"), "second.yaml": ALGORITHM.replace("EDGE", "tiny")}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    write_data(tmp_path, "train", 3)
    write_data(tmp_path, "test", 5)
    with _isolation.isolated_plugins(monkeypatch):
        monkeypatch.setattr(shared, "_stores", {})  # answers of this process are those of this test
        monkeypatch.chdir(tmp_path)
        yield tmp_path


def record(*more: str, to: str = "trace") -> int:
    return main(["trace", "record", "-f", "job.yaml", "--to", to, "--quiet", *more])


def change(file: str, old: str, new: str) -> None:
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new))


def test_both_models_answer_every_query(job: Path, capsys: Capture) -> None:
    assert record() == 0
    assert capsys.readouterr().out.startswith(
        "demo-test: 5 queries, quality edge 0.200, cloud 1.000; the cloud is better on 80.0%, worse on 0.0%"
    )
    trace = read_trace("trace")
    assert trace.quality("edge").tolist() == [1, 0, 0, 0, 0]
    assert trace.quality("cloud").tolist() == [1] * 5
    first = trace.rows[0]
    assert first.text == "test question 0?\nA. yes\nB. no\nAnswer:"
    assert (first.subject, first.language, first.gold) == ("s", "en", "A")
    assert first.edge.logprobs == first.cloud.logprobs == (-0.25, -0.5)
    assert (first.edge.prefill_seconds, first.edge.total_seconds) == (0.5, 0.75)
    assert Path("closed.txt").read_text().split() == ["small", "large"]


def test_the_trace_says_where_it_comes_from(job: Path) -> None:
    assert record("--samples", "2", "--temperature", "0.5") == 0
    about = read_trace("trace").provenance
    assert (about["edge"]["model"], about["cloud"]["model"], about["algorithm"]) == ("small", "large", "first")
    assert about["extractor"] == ["option-text/1"]
    assert about["sampling"] == {"count": 2, "temperature": 0.5, "seed": 0}
    assert about["outcomes"] == {"edge": {"ok": 5}, "cloud": {"ok": 5}}
    assert [Path(path).name for path in about["data_sha256"]] == ["metadata.json", "data.jsonl"]
    for key in ("machine", "versions", "started", "ended", "prompts_sha256", "command"):
        assert about[key]


def test_split_algorithm_limit_and_samples_are_chosen(job: Path) -> None:
    assert record("--split", "train", "--algorithm", "second", "--limit", "2", "--samples", "4") == 0
    trace = read_trace("trace")
    assert [row.text.splitlines()[0] for row in trace] == ["train question 0?", "train question 1?"]
    assert trace.provenance["edge"]["model"] == "tiny"
    drawn = [row.cloud.sample_answers for row in trace]
    assert {len(letters) for letters in drawn} == {4}
    assert {"A", "B"} == {letter for letters in drawn for letter in letters}


def test_a_killed_recording_goes_on_where_it_was(job: Path, capsys: Capture) -> None:
    assert record(to="whole") == 0
    Path("slow").touch()
    command = [str(SCRIPT), "trace", "record", "-f", "job.yaml", "--to", "trace", "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    rows = Path("trace/trace.jsonl")
    deadline = time.monotonic() + 120
    while not (rows.exists() and rows.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = rows.read_bytes()
    assert 0 < begun.count(b"\n") < 5
    rows.write_bytes(begun + b'{"query_id": "torn')
    Path("slow").unlink()
    assert main(["trace", "check", "trace"]) == 1
    assert "the line is cut off" in capsys.readouterr().err
    assert record("--resume") == 0
    assert rows.read_bytes() == Path("whole/trace.jsonl").read_bytes()
    assert len(read_trace("trace").provenance["resumed"]) == 1


@pytest.mark.parametrize(
    ("before", "options", "message"),
    [
        (lambda: None, ["--limit", "4"], r"--limit \(was None, is 4\), prompts"),
        (lambda: None, ["--samples", "3"], r"--samples \(was 0, is 3\)"),
        (lambda: None, ["--algorithm", "second"], r"edge model \(changed\)"),
        (
            lambda: change("first.yaml", "[large]}", "[large]}\n        - max_tokens: {values: [7]}"),
            [],
            "decoding of the cloud",
        ),
        (lambda: write_data(Path(), "test", 5, "B"), [], "data.jsonl.*right answers"),
    ],
)
def test_another_recording_is_not_gone_on_with(
    before: Callable[[], None], options: list[str], message: str, job: Path, capsys: Capture
) -> None:
    assert record() == 0
    kept = Path("trace/trace.jsonl").read_bytes()
    before()
    assert record("--resume", *options) == 1
    error = capsys.readouterr().err
    assert "cannot be resumed, for since it was begun there changed" in error
    assert re.search(message, error), error
    assert Path("trace/trace.jsonl").read_bytes() == kept


def test_a_trace_is_never_written_over(job: Path, capsys: Capture) -> None:
    assert record() == 0
    assert record() == 1
    assert "holds a trace already; go on with it by --resume" in capsys.readouterr().err


def test_a_failure_ends_the_recording_and_resuming_asks_again(job: Path, capsys: Capture) -> None:
    Path("down").touch()
    assert record() == 1
    error = capsys.readouterr().err
    assert "cloud model: ModelTimeoutError: no answer within a second. The rows before it are kept" in error
    assert len(read_trace("trace", partial=True)) == 2
    assert main(["trace", "check", "trace"]) == 1
    assert "holds 2 of 5 queries" in capsys.readouterr().err
    Path("down").unlink()
    assert record("--resume") == 0
    assert read_trace("trace").quality("cloud").tolist() == [1] * 5


@pytest.mark.parametrize("limit", ["1", "0.2"])
def test_failures_that_are_allowed_count_as_wrong(limit: str, job: Path, capsys: Capture) -> None:
    Path("down").touch()
    assert record("--max-errors", limit) == 0
    trace = read_trace("trace")
    assert trace.rows[2].cloud.outcome == "timeout"
    assert trace.quality("cloud").tolist() == [1, 1, 0, 1, 1]
    assert trace.provenance["outcomes"]["cloud"] == {"ok": 4, "timeout": 1}
    assert "1 queries got no answer from the cloud" in capsys.readouterr().out
    assert record("--resume") == 0  # failures taken over count, and are allowed because none is added


def test_too_many_failures_are_counted(job: Path, capsys: Capture) -> None:
    change(
        "plugins.py", '"question 2" in text:\n            raise ModelT', '"question" in text:\n            raise ModelT'
    )
    Path("down").touch()
    assert record("--max-errors", "2") == 1
    assert "3 queries failed, more than --max-errors 2 allows; the last: query test-00002" in capsys.readouterr().err
    assert len(read_trace("trace", partial=True)) == 2


def test_ctrl_c_keeps_what_there_is(job: Path, capsys: Capture) -> None:
    Path("interrupt").touch()
    assert record() == 130
    assert "Go on with the same command and --resume" in capsys.readouterr().err
    Path("interrupt").unlink()
    assert record("--resume") == 0


def test_a_module_that_cannot_tidy_up_takes_no_trace_away(job: Path) -> None:
    change("first.yaml", "name: EdgeModel", "name: Untidy")
    assert record() == 0
    assert len(read_trace("trace")) == 5
    assert Path("closed.txt").read_text().split() == ["small", "large"]


@pytest.mark.parametrize(
    ("before", "options", "message"),
    [
        (
            lambda: None,
            ["--algorithm", "third"],
            "no joint-inference algorithm 'third', whose models to record; it has first, second",
        ),
        (
            lambda: change(
                "job.yaml", "      - {name: first, url: ./first.yaml}\n      - {name: second, url: ./second.yaml}\n", ""
            ),
            [],
            "no joint-inference algorithm, whose models to record; it has none",
        ),
        (
            lambda: change("first.yaml", "name: QueryProcessor", "name: SameIds"),
            [],
            "5 queries of the data have the id 'same'",
        ),
        (
            lambda: change(
                "first.yaml", "    - {type: dataset_processor, name: QueryProcessor, url: ./plugins.py}\n", ""
            ),
            [],
            "a trace needs queries with ids",
        ),
        (
            lambda: Path("first.yaml").write_text(FOREIGN),
            [],
            "needs an edgemodel of the class EdgeModel.*has Foreign",
        ),
        (lambda: write_data(Path(), "test", 5, "yes"), [], "no option's letter"),
        (lambda: Path("testenv.yaml").unlink(), [], "testenv.yaml"),
        (lambda: None, ["--samples", "2", "--temperature", "0"], "need a temperature above 0"),
    ],
)
def test_what_cannot_be_recorded_is_told(
    before: Callable[[], None], options: list[str], message: str, job: Path, capsys: Capture
) -> None:
    before()
    assert record(*options) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not Path("trace/trace.jsonl").exists()


def test_verbose_shows_where_a_failure_came_from(job: Path, capsys: Capture) -> None:
    assert main(["trace", "check", "nowhere", "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_imported_trace_is_no_recording(job: Path, capsys: Capture) -> None:
    mmlu(Path())
    assert main(["trace", "import", "--csv", "recorded.csv", "--mmlu", "mmlu", "--to", "trace"]) == 0
    assert record("--resume") == 1
    assert "was not made by `ianvs trace record`" in capsys.readouterr().err


def mmlu(folder: Path) -> None:
    (folder / "mmlu" / "test").mkdir(parents=True)
    with (folder / "mmlu/test/anatomy_test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["Which?", "None", "b", "c", "d", "A"], ["What?", "a", "b", "c", "d", "B"]])
    lines = "subject,row,edge_correct,cloud_correct\nanatomy,0,0,1\nanatomy,1,1,1\n"
    (folder / "recorded.csv").write_text(lines)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_recorded_correctness_is_imported_and_checked(empty: Path, capsys: Capture) -> None:
    mmlu(empty)
    command = ["trace", "import", "--csv", "recorded.csv", "--mmlu", "mmlu", "--edge", "small", "--to", "out/trace"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("recorded: 2 queries, quality edge 0.500, cloud 1.000")
    assert read_trace("out/trace").provenance["edge"] == {"model": "small"}
    assert main(["trace", "check", "out/trace"]) == 0
    assert capsys.readouterr().out.splitlines()[-2].split()[:2] == ["anatomy", "2"]
    assert main(command) == 1
    assert "holds files already" in capsys.readouterr().err


def test_ianvs_caches_are_imported(empty: Path) -> None:
    response = {"completion": "A", "usage": {"prompt_tokens": 3, "completion_tokens": 1}, "perf": {}}
    for name in ("small", "large"):
        cache = [{"config": {"model": name}, "result": [{"query": "Which?", "response": response}]}]
        Path(f"{name}.json").write_text(json.dumps(cache))
    Path("data.jsonl").write_text('{"prompt": "", "query": "Which?", "response": "A"}\n')
    command = ["trace", "import", "--cache", "small.json", "--cache", "large.json", "--data", "data.jsonl"]
    assert main([*command, "--to", "trace"]) == 0
    assert read_trace("trace").provenance["cloud"] == {"model": "large"}


def test_mixinstruct_is_imported(empty: Path) -> None:
    candidates = [{"model": name, "text": "hi", "scores": {"bleurt": n}} for n, name in enumerate(("m", "n"))]
    item = {"id": "a/1", "instruction": "Say hi", "input": "", "output": "hi", "candidates": candidates}
    Path("val.jsonl").write_text(json.dumps(item) + "\n")
    command = ["trace", "import", "--mixinstruct", "val.jsonl", "--edge", "m", "--cloud", "n", "--score", "bleurt"]
    assert main([*command, "--to", "trace"]) == 0
    assert read_trace("trace").quality("cloud").tolist() == [1.0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["--csv", "x"], "--csv also needs --mmlu"),
        (["--cache", "x"], "--cache also needs --data"),
        (["--mixinstruct", "x"], "--mixinstruct also needs --edge, --cloud, --score"),
        (["--csv", "x", "--mmlu", "y"], "x: No such file"),
    ],
)
def test_what_an_import_lacks_is_told(source: list[str], message: str, empty: Path, capsys: Capture) -> None:
    assert main(["trace", "import", *source, "--to", "trace"]) == 1
    assert message in capsys.readouterr().err
    assert not Path("trace").exists()


def test_every_problem_of_the_mmlu_files_is_told(empty: Path, capsys: Capture) -> None:
    mmlu(empty)
    Path("mmlu/test/anatomy_test.csv").write_text("a,b\nc,d\n")
    assert main(["trace", "import", "--csv", "recorded.csv", "--mmlu", "mmlu", "--to", "trace"]) == 1
    assert capsys.readouterr().err.count("expected 6 columns, found 2") == 2


def test_the_nano_models_are_recorded(checkout: Path, shell: Shell) -> None:
    done = shell("ianvs trace record -f benchmarkingjob.yaml --to trace --limit 3 --samples 1 --quiet", checkout)
    assert done.returncode == 0, done.stderr
    trace = read_trace(checkout / "trace")
    assert len(trace) == 3
    for row in trace:
        for side in (row.edge, row.cloud):
            assert side.logprobs is not None and len(side.logprobs) == side.completion_tokens
            assert side.prefill_seconds is not None and side.total_seconds is not None
            assert 0 < side.prefill_seconds <= side.total_seconds
            assert len(side.samples) == 1
