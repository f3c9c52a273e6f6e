"""Records a trace from a job: its data, and the edge and cloud models of one of its joint-inference algorithms.

Only the data set processor and the two models are made; no router is, because both models answer every query.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ianvs_collab import compat
from ianvs_collab.inference import Query
from ianvs_collab.inference.models import CloudModel, EdgeModel
from ianvs_collab.inference.participants import Participant
from ianvs_collab.job.fingerprint import data_digests, differences
from ianvs_collab.job.jobfile import JobFile
from ianvs_collab.job.traceorigin import Origin, now
from ianvs_collab.metrics.predictions import FAILED, gold_letters
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.traces import Trace, TraceRow, read_trace
from ianvs_collab.routing.traces.recorder import Recorder, Sampling
from ianvs_collab.routing.traces.writer import TraceWriter
from ianvs_collab.testcase.dataset import Dataset
from ianvs_collab.testcase.environment import isolated
from ianvs_collab.testcase.modules import clean_up, make_modules, warn_of
from ianvs_collab.testcase.spec import AlgorithmSpec
from ianvs_collab.testenv.schema import DatasetSpec

LOGGER = logging.getLogger("ianvs")
MODULES = ("dataset_processor", "edgemodel", "cloudmodel")


@dataclass(frozen=True)
class RecordOptions:
    """How to record.

    Attributes:
        target: Folder of the trace.
        algorithm: Whose models to ask; None for the job's first algorithm of joint inference.
        split: `test` or `train`.
        limit: Ask the first `limit` questions only; None for all.
        sampling: Further answers to each query.
        resume: Go on with a recording that was interrupted.
        max_errors: Queries that may fail: a count, or a fraction of all if below 1.
        quiet: No progress bar.
    """

    target: Path
    algorithm: str | None = None
    split: str = "test"
    limit: int | None = None
    sampling: Sampling = field(default_factory=Sampling)
    resume: bool = False
    max_errors: float = 0
    quiet: bool = False


def record(job: JobFile, options: RecordOptions) -> Trace:
    """Ask both models every query, keeping each row as soon as it is known.

    Args:
        job: The job that names data and models.
        options: How.

    Raises:
        RouterError: If the job has no such models, too many queries fail, or a recording is to be resumed that was
            begun with other models, data or settings.
        ModelServerError: If a model cannot be loaded.
    """
    compat.install()
    target = options.target.absolute()
    algorithm = _algorithm(job, options.algorithm)
    with (
        isolated() as scratch,
        _origin(job, algorithm, options, scratch) as origin,
        _open(target, origin, options.resume) as writer,
    ):
        _Recording(origin, writer, options).run()
    return read_trace(target)


class _Recording:
    """Goes through the queries, takes over what an interrupted recording has, and counts failures."""

    def __init__(self, origin: Origin, writer: TraceWriter, options: RecordOptions) -> None:
        self._origin = origin
        self._writer = writer
        self._options = options
        self._recorder = Recorder(origin.edge, origin.cloud, origin.sampling)
        self._outcomes = {"edge": Counter[str](), "cloud": Counter[str]()}
        self._failures = 0

    def run(self) -> None:
        known = {row.query_id: row for row in self._writer.rows}
        for row in known.values():
            self._count(row)
        with _bar(len(self._origin.queries), self._options.quiet) as bar:
            for query, gold in zip(self._origin.queries, self._origin.gold, strict=True):
                if query["query_id"] not in known:
                    self._ask(query, gold)
                bar.update()
        outcomes = {where: dict(counts) for where, counts in self._outcomes.items()}
        self._writer.finish(ended=now(), outcomes=outcomes)

    def _ask(self, query: Query, gold: str) -> None:
        problems: list[str] = []
        row = self._recorder.row(query, gold, problems.append)
        self._count(row)
        limit = self._options.max_errors
        if problems and self._failures > (limit * len(self._origin.queries) if limit < 1 else limit):
            raise RouterError(self._too_many(row, problems))  # the row is not written: --resume asks again
        for problem in problems:
            LOGGER.warning("query %s is counted as wrong: %s", row.query_id, problem)
        self._writer.append(row)

    def _count(self, row: TraceRow) -> None:
        for where, counts in self._outcomes.items():
            counts[getattr(row, where).outcome] += 1
        self._failures += bool(FAILED & {row.edge.outcome, row.cloud.outcome})

    def _too_many(self, row: TraceRow, problems: Sequence[str]) -> str:
        limit = self._options.max_errors
        more = f"{self._failures} queries failed, more than --max-errors {limit:g} allows; the last: " if limit else ""
        return (
            f"{more}query {row.query_id}: {'; '.join(problems)}. The rows before it are kept: mend the cause and go on "
            "with --resume, or let --max-errors count such answers as wrong"
        )


def _algorithm(job: JobFile, name: str | None) -> AlgorithmSpec:
    """The algorithm whose models are asked, with nothing but what a recording needs."""
    joint = [spec for spec in job.algorithm_specs() if spec.paradigm == "jointinference"]
    names = ", ".join(dict.fromkeys(spec.name for spec in joint)) or "none"
    chosen = next((spec for spec in joint if name in (None, spec.name)), None)
    if chosen is None:
        asked = "" if name is None else f" {name!r}"
        raise RouterError(f"the job has no joint-inference algorithm{asked}, whose models to record; it has {names}")
    return replace(chosen, modules=tuple(module for module in chosen.modules if module.type in MODULES))


@contextmanager
def _origin(job: JobFile, algorithm: AlgorithmSpec, options: RecordOptions, scratch: Path) -> Iterator[Origin]:
    """Loads data and models; releases the models at the end."""
    data = _split(job.testenv_spec().dataset, options.split)
    modules = make_modules(algorithm)
    try:
        dataset = Dataset(data, scratch, options.limit)
        queries = _queries(modules.get("dataset_processor"), dataset)
        yield Origin(
            job=job.job.name,
            algorithm=algorithm.name,
            split=options.split,
            limit=options.limit,
            files=data_digests(data),
            edge=_end(modules, "edgemodel", EdgeModel),
            cloud=_end(modules, "cloudmodel", CloudModel),
            queries=queries,
            gold=gold_letters(dataset.y_true(), len(queries)),
            sampling=options.sampling,
        )
    finally:
        warn_of(clean_up([*modules.values()]))


def _split(data: DatasetSpec, split: str) -> DatasetSpec:
    """The data with the chosen split in the test data's place, and nothing beside it."""
    index, whole, info = data.test_index, data.test_data, data.test_data_info
    if split == "train":
        index, whole, info = data.train_index, data.train_data, data.train_data_info
    return DatasetSpec(
        **{"train_index": index, "train_data": whole, "train_data_info": info},
        **{"test_index": index, "test_data": whole, "test_data_info": info},
        label=data.label,
    )


def _queries(processor: Any, dataset: Dataset) -> list[Query]:
    source = dataset.load_test("inference")
    items = (processor(source) if callable(processor) else source).x
    if not all(isinstance(item, Mapping) and item.get("query_id") for item in items):
        raise RouterError("a trace needs queries with ids: give the algorithm the dataset_processor QueryProcessor")
    name, times = Counter(str(item["query_id"]) for item in items).most_common(1)[0]
    if times > 1:
        raise RouterError(f"{times} queries of the data have the id {name!r}; each needs its own")
    return [Query.of(item) for item in items]


def _end(modules: Mapping[str, Any], kind: str, expected: type[EdgeModel] | type[CloudModel]) -> Participant:
    module = modules.get(kind)
    if isinstance(module, expected):
        return module.loaded()
    name, found = expected.__name__, "none" if module is None else type(module).__name__
    raise RouterError(
        f"a trace needs an {kind} of the class {name}, which tells token times and log-probabilities; the algorithm "
        f"has {found}. Name {name} (with any back-end) or a subclass of it"
    )


@contextmanager
def _open(target: Path, origin: Origin, resume: bool) -> Iterator[TraceWriter]:
    with TraceWriter.resume(target) if resume else TraceWriter.new(target, origin.about()) as writer:
        begun = writer.about.get("fingerprint")
        if not isinstance(begun, dict):
            raise RouterError(f"the trace in {target} was not made by `ianvs trace record`, so it cannot be resumed")
        changed = differences(begun, origin.fingerprint())
        if changed:
            raise RouterError(
                f"the trace in {target} cannot be resumed, for since it was begun there changed: {', '.join(changed)}; "
                "undo the change, or record into another folder with --to"
            )
        if resume:
            writer.about["resumed"] = [*writer.about.get("resumed", ()), now()]
        yield writer


def _bar(total: int, quiet: bool) -> Any:
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(total=total, desc="record", unit="query", dynamic_ncols=True, mininterval=interval, disable=quiet)
