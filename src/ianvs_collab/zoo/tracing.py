"""The trace of the nano models that routers learn from: `python -m ianvs_collab.zoo.tracing`.

Both models answer questions of the training split through the model server, so that their token log-probabilities and
compute times are those a job would see. The questions stand beside the trace in Ianvs's form.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from ianvs_collab.inference import Query
from ianvs_collab.inference.participants import CloudParticipant, EdgeParticipant
from ianvs_collab.modelserver import ModelServer, SamplingParams, load_model
from ianvs_collab.routing.traces import Side, Trace, TraceRow, write_trace
from ianvs_collab.routing.traces.recorder import Recorder
from ianvs_collab.zoo.checkpoint import WEIGHTS
from ianvs_collab.zoo.evaluate import EXTRACTOR, answer
from ianvs_collab.zoo.export import write_questions
from ianvs_collab.zoo.generate import VERSION, balanced
from ianvs_collab.zoo.question import Question

TRAIN_FOLDER = Path("testenv/nano/train_data")
TRAIN_SEED, TRAIN_PER_CELL = 7, 84
PARAMS = SamplingParams(max_tokens=64, logprobs=True)


def train_questions(per_cell: int = TRAIN_PER_CELL) -> list[Question]:
    """Return questions of the training split, as many of each subject and language; fewer are the first of more."""
    return balanced("train", per_cell, TRAIN_SEED)


def query_of(question: Question) -> Query:
    """Return a question as a router and a model see it: without the right answer."""
    return Query(
        query_id=question.id,
        query=question.prompt,
        messages=[{"role": "user", "content": question.prompt}],
        choices=question.choices,
        subject=question.subject,
        language=question.language,
        shots=0,
        extractor=EXTRACTOR,
    )


def record(questions: Sequence[Question], weights: Path = WEIGHTS) -> Trace:
    """Let the edge and the cloud model in a weights folder answer questions, one after the other.

    Raises:
        ModelServerError: If a model cannot be loaded.
        RuntimeError: If a model fails on a question.
    """
    edge, cloud = (load_model("transformers", _locator(weights, name)) for name in ("edge", "cloud"))
    recorder = Recorder(EdgeParticipant(edge, PARAMS), CloudParticipant(cloud, PARAMS))
    try:
        asked = tqdm(questions, desc="trace", unit="question", mininterval=5)
        rows = [recorder.row(query_of(question), question.answer, _fail) for question in asked]
    finally:
        edge.close()
        cloud.close()
    return Trace(rows, "nano-train", _provenance(edge, cloud))


def graded(questions: Sequence[Question], weights: Path = WEIGHTS) -> Trace:
    """Let both models answer questions in batches: who is right and nothing else, in a fraction of the time."""
    edge, cloud = (answer(weights / name, questions) for name in ("edge", "cloud"))
    return trace_of(questions, edge, cloud)


def trace_of(questions: Sequence[Question], edge: Sequence[bool], cloud: Sequence[bool]) -> Trace:
    """Return a trace that says which model answers which question right."""
    rows = [
        TraceRow(
            query_id=question.id,
            text=question.prompt,
            edge=Side(float(edge_right)),
            cloud=Side(float(cloud_right)),
            subject=question.subject,
            language=question.language,
            gold=question.answer,
        )
        for question, edge_right, cloud_right in zip(questions, edge, cloud, strict=True)
    ]
    return Trace(rows, "nano")


def _fail(problem: str) -> None:
    raise RuntimeError(problem)


def _locator(weights: Path, name: str) -> str:
    """Name the committed models by their zoo name: a trace should not tell where somebody keeps a checkout."""
    return f"zoo:{name}" if weights == WEIGHTS else str(weights / name)


def _provenance(edge: ModelServer, cloud: ModelServer) -> dict[str, object]:
    return {
        "edge": asdict(edge.info),
        "cloud": asdict(cloud.info),
        "decoding": asdict(PARAMS),
        "extractor": EXTRACTOR,
        "generator_version": VERSION,
        "seed": TRAIN_SEED,
        "recorded": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
    }


def write(folder: Path, questions: Sequence[Question], trace: Trace) -> None:
    """Write training questions in Ianvs's form, and their trace beside them."""
    write_questions(folder, questions, "train", TRAIN_SEED)
    write_trace(trace, folder)


def main(arguments: list[str] | None = None) -> None:
    """Write the training questions and their trace to the folder the command line names."""
    parser = argparse.ArgumentParser(prog="python -m ianvs_collab.zoo.tracing", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=TRAIN_FOLDER)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder with the edge and the cloud model")
    parser.add_argument("--per-cell", type=int, default=TRAIN_PER_CELL, help="questions of each subject and language")
    values = parser.parse_args(arguments)
    questions = train_questions(values.per_cell)
    trace = record(questions, values.weights)
    write(values.folder, questions, trace)
    edge, cloud = trace.quality("edge").mean(), trace.quality("cloud").mean()
    print(f"{len(trace)} questions: edge {edge:.1%}, cloud {cloud:.1%} right")


if __name__ == "__main__":
    main()
