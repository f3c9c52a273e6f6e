"""Joint inference: a hard-example miner decides for each query whether the edge or the cloud answers it.

Modes (`hard_example_mining_mode`), and the list of four that each query yields:

* `mining-then-inference`: `hard = miner(data)`; the cloud answers if it is true, else the edge:
  `[hard, answer, edge's or None, cloud's or None]`.
* `inference-then-mining`: the edge answers; `hard = miner(its answer)`; if true the cloud answers as well:
  `[hard, answer, edge's, cloud's or None]`.
* `self-design`: the edge model does it all and returns the four itself.

A module that keeps state from one query to the next (a router that learns, a counter) may define
`replay(data, result)`. In a resumed run it is called, in order, for each query whose result was restored from disk
instead of being asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ianvs_collab import compat
from ianvs_collab.testcase.copying import copy_answer
from ianvs_collab.testcase.modules import clean_up, warn_of
from ianvs_collab.testcase.paradigms.backend import choose_backend, model_path_from_environment
from ianvs_collab.testcase.paradigms.base import CaseRun, Predictions, require_modules
from ianvs_collab.testcase.paradigms.queryloop import Infer, QueryLoop

REQUIRED = ("edgemodel", "cloudmodel", "hard_example_mining")
DEFAULT_MODE = "mining-then-inference"
MINER_GROUP = "hard_example_mining"


def run(case: CaseRun) -> Predictions:
    """Answers every query of the test data.

    Args:
        case: The test case.

    Returns:
        One list of four for each query, in order.

    Raises:
        Exception: Whatever a plug-in raises, once more queries have failed than `max_errors` allows.
    """
    modules = case.make_modules()
    miner = None
    try:
        folder = os.path.dirname(case.spec.output_dir)
        os.environ["RESULT_SAVED_URL"] = folder
        os.makedirs(folder, exist_ok=True)
        queries = _load_queries(case, modules)
        require_modules(modules, REQUIRED, "jointinference")
        mode = case.settings.get("hard_example_mining_mode") or DEFAULT_MODE
        infer, miner = _make_job(modules, mode, case.scratch)
        results, outcomes = QueryLoop(case, [*modules.values(), miner], infer).run(queries)
    except BaseException:
        warn_of(clean_up([*modules.values(), miner]))
        raise
    problems = clean_up([*modules.values(), miner])
    return Predictions(results, outcomes, problems=tuple(problems))


def _load_queries(case: CaseRun, modules: Mapping[str, Any]) -> Any:
    dataset = case.dataset.load_test("inference")
    processor = modules.get("dataset_processor")
    if callable(processor):
        dataset = processor(dataset)
    return dataset.x


def _make_job(modules: Mapping[str, Any], mode: str, scratch: Path) -> tuple[Infer, Any]:
    """Chooses the back-end, loads the edge model and makes the miner, in this order."""
    backend = choose_backend(modules["edgemodel"])
    backend.load(model_path_from_environment(), scratch)
    miner = _make_miner(modules)
    return _inference(mode, backend.predictor(mode), modules["cloudmodel"], miner), miner


def _make_miner(modules: Mapping[str, Any]) -> Any:
    described = modules["hard_example_mining"]
    name, parameters = described["method"], described.get("param", {})
    if name == "OracleRouter":
        parameters |= {"edgemodel": modules["edgemodel"], "cloudmodel": modules["cloudmodel"]}
    if "class" in described:
        return described["class"](**parameters)
    factory, _ = compat.registry()
    return factory.get_cls(MINER_GROUP, name)(**parameters)


def _inference(mode: str, ask_edge: Infer, cloud: Any, miner: Infer) -> Infer:
    """Returns the function that answers one query in the given mode."""

    def ask_cloud(data: Any) -> Any:
        return cloud.inference(data, post_process=None, mining_mode=mode)

    def mining_then_inference(data: Any) -> list[Any]:
        hard = miner(data)
        if hard:
            answer = ask_cloud(data)
            return [hard, copy_answer(answer), None, answer]
        answer = ask_edge(data)
        return [hard, copy_answer(answer), answer, None]

    def inference_then_mining(data: Any) -> list[Any]:
        edge_answer = ask_edge(data)
        result, cloud_answer = copy_answer(edge_answer), None
        hard = miner(result)
        if hard:
            cloud_answer = ask_cloud(data)
            result = copy_answer(cloud_answer)
        return [hard, result, edge_answer, cloud_answer]

    modes = {
        "mining-then-inference": mining_then_inference,
        "inference-then-mining": inference_then_mining,
        "self-design": ask_edge,
    }
    if mode not in modes:
        raise ValueError(f"hard_example_mining_mode {mode!r} is unknown; use one of {', '.join(modes)}")
    return modes[mode]
