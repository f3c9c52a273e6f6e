from __future__ import annotations

import math
import os
import stat
from pathlib import Path

import pytest

from ianvs_collab.testcase.paradigms.singletasklearning import compress
from ianvs_collab.testcase.spec import ModuleSpec
from ianvs_collab.testenv.schema import DatasetSpec

BASE = """
@ClassFactory.register(ClassType.GENERAL, alias="Base")
class Base:
    def __init__(self, **kwargs):
        trace("init", kwargs)
    def train(self, data, *args, **kwargs):
        trace("train", type(data).__name__, data.data_type, list(data.x), list(data.y), args, kwargs)
        trace("base model", os.environ["BASE_MODEL_URL"])
    def save(self, url):
        trace("save", url, os.path.exists(url))
        {saved}
    def load(self, url):
        trace("load", url, os.environ["RESULT_SAVED_URL"])
    def predict(self, x, *args, **kwargs):
        trace("predict", type(x).__name__, list(getattr(x, "x", x)), args, kwargs)
        return {predicted}
{extra}

@ClassFactory.register(ClassType.GENERAL, alias="Type")
def kind(y_true, y_pred):
    return type(y_pred).__name__
"""


def make_case(bench, saved="return None", predicted="[0] * len(x)", extra="", settings=None, **arguments):
    url = bench.plugin("base", BASE.format(saved=saved, predicted=predicted, extra=extra))
    return bench.case(
        modules=(ModuleSpec("basemodel", "Base", url, {"rate": 0.1}),),
        paradigm="singletasklearning",
        metrics=BASE.format(saved="pass", predicted="1", extra=""),
        metric_names=("Type",),
        settings=settings,
        **arguments,
    )


def test_calls_in_order(bench):
    case = make_case(bench, count=2, settings={"initial_model_url": "initial"})
    outcome = bench.run(case)
    assert outcome.failures == ()
    folder = case.output_dir
    assert bench.trace() == [
        ["init", {"rate": 0.1}],
        ["train", "JsonlDataParse", "train", ["q0", "q1"], ["a0", "a1"], [], {}],
        ["base model", "initial"],
        ["save", f"{folder}/output/train/", False],
        ["load", "initial", f"{folder}/output/inference/"],
        ["predict", "ndarray", ["q0", "q1"], [], {}],
    ]
    assert outcome.result.metrics == {"Type": "list"}
    assert outcome.result.outcomes == {"ok": 2}
    assert not Path(folder, "output").exists()
    assert "BASE_MODEL_URL" not in os.environ


def test_a_saved_model_is_loaded_and_no_initial_model_is_an_empty_text(bench):
    assert bench.run(make_case(bench, saved="return 'trained'")).failures == ()
    assert ["base model", ""] in bench.trace()
    assert any(call[:2] == ["load", "trained"] for call in bench.trace())


@pytest.mark.parametrize(("returned", "calls"), [("None", 1), ("0", 2), ("'again'", 2)])
def test_preprocess_is_optional_and_called_again_if_it_returned_something(bench, returned, calls):
    extra = f"    def preprocess(self):\n        trace('preprocess')\n        return {returned}\n"
    assert bench.run(make_case(bench, extra=extra)).failures == ()
    assert bench.trace()[1 : 1 + calls] == [["preprocess"]] * calls
    assert bench.trace()[1 + calls][0] == "train"


def test_metadata_is_handed_over_whole(bench):
    (bench.folder / "metadata.json").write_text(
        '{"dataset": "d", "description": "d", "level_1_dim": "1", "level_2_dim": "2"}'
    )
    row = '{"query": "q", "response": "r", "level_3_dim": "3", "level_4_dim": "4"}\n'
    (bench.folder / "data.jsonl").write_text(row * 3)
    dataset = DatasetSpec(train_data_info="metadata.json", test_data_info="metadata.json")
    case = make_case(bench, predicted="[0] * len(x.x)", dataset=dataset)
    outcome = bench.run(case, limit=2)
    assert outcome.failures == ()
    assert bench.trace()[-1] == ["predict", "JSONMetaDataParse", ["q", "q"], [], {}]
    assert outcome.result.outcomes == {"ok": 2}


@pytest.mark.parametrize(("use_gpu", "visible"), [(True, "0"), (False, None)])
def test_use_gpu(bench, use_gpu, visible):
    extra = "    def preprocess(self):\n        trace('gpu', os.environ.get('CUDA_VISIBLE_DEVICES'))\n"
    assert bench.run(make_case(bench, extra=extra, options={"use_gpu": use_gpu})).failures == ()
    assert ["gpu", visible] in bench.trace()


@pytest.mark.parametrize(
    ("predicted", "count"),
    [
        ("[0] * len(x)", 4),
        ("__import__('numpy').zeros(len(x))", 4),
        ("[{'completion': 'x', 'outcome': 'error', 'error': 'no', 'query_id': i} for i in range(len(x))]", 4),
        ("[0]", 0),
        ("'four'", 0),
        ("{1: 1, 2: 2, 3: 3, 4: 4}", 0),
        ("7", 0),
        ("__import__('numpy').float64(3)", 0),
    ],
)
def test_records_are_written_if_there_is_one_prediction_for_each_item(bench, predicted, count):
    case = make_case(bench, predicted=predicted)
    outcome = bench.run(case)
    assert outcome.failures == ()
    assert sum(outcome.result.outcomes.values()) == count
    if count:
        records = bench.records(case)
        assert [record.gold for record in records] == ["a0", "a1", "a2", "a3"]
        assert all(math.isnan(record.elapsed_s) for record in records)
        named = "query_id" in predicted
        assert [record.outcome for record in records] == ["error" if named else "ok"] * 4
        assert [record.error for record in records] == ["no" if named else None] * 4
        assert [record.query_id for record in records] == (["0", "1", "2", "3"] if named else [None] * 4)
    else:
        assert not Path(case.output_dir, "records.jsonl").exists()


def test_an_interrupted_test_case_starts_anew(bench):
    case = make_case(bench)
    bench.run(case)
    Path(case.output_dir, "result.json").unlink()
    outcome = bench.run(case, resume=True)
    assert outcome.failures == ()
    assert [call[0] for call in bench.trace()].count("train") == 2
    assert len(bench.records(case)) == 4


def test_basemodel_is_required(bench):
    (failure,) = bench.run(make_case(bench).__class__(**{**vars(make_case(bench)), "algorithm": empty(bench)})).failures
    assert "singletasklearning needs the module basemodel, but the algorithm file has none" in failure.message


def empty(bench):
    return bench.case(modules=(), paradigm="singletasklearning").algorithm


def make_tool(bench, body: str) -> str:
    tool = bench.folder / "llama-quantize"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IEXEC)
    return str(tool)


def test_compression_runs_the_tool(bench):
    tool = make_tool(bench, 'echo "$3" > "$2"')
    model = bench.folder / "model.gguf"
    model.touch()
    settings = {"mode": "with_compression", "llama_quantize_path": tool, "quantization_type": "q4_0"}
    assert bench.run(make_case(bench, saved=f"return {str(model)!r}", settings=settings)).failures == ()
    expected = str(bench.folder / "model_q4_0.gguf")
    assert [call[1] for call in bench.trace() if call[0] == "load"] == [expected]
    assert Path(expected).read_text() == "q4_0\n"


def test_a_failing_tool_leaves_the_model_as_it_is(bench, capsys):
    tool = make_tool(bench, "exit 3")
    model = bench.folder / "model.gguf"
    model.touch()
    assert compress(str(model), {"llama_quantize_path": tool, "quantization_type": "q8_0"}) == str(model)
    assert "exit status 3" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["model", "llama_quantize_path", "quantization_type"])
def test_what_is_missing_for_compression_is_named(bench, capsys, missing):
    model = bench.folder / "model.gguf"
    model.touch()
    settings = {"llama_quantize_path": make_tool(bench, "true"), "quantization_type": "q8_0", "model": str(model)}
    settings[missing] = "" if missing == "quantization_type" else "absent"
    assert compress(settings.pop("model"), settings) is None
    assert missing in capsys.readouterr().err
