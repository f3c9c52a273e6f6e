"""Where a recorded trace comes from: what `trace.json` says, and the fingerprint that resuming asks for."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ianvs_collab.grading import extract
from ianvs_collab.inference import Query
from ianvs_collab.inference.participants import DEFAULT_EXTRACTOR, Participant
from ianvs_collab.job.provenance import command_line, git_revision
from ianvs_collab.machine import machine, versions
from ianvs_collab.modelserver.shared import model_identity
from ianvs_collab.routing.traces.recorder import Sampling


@dataclass(frozen=True)
class Origin:
    """What a recording is made from.

    Attributes:
        job: Name of the job.
        algorithm: The algorithm whose models are asked.
        split: `test` or `train`.
        limit: How many of its queries are asked; None for all.
        files: Digests of the data files by path.
        edge: The edge model.
        cloud: The cloud model.
        queries: All queries, in order.
        gold: Letters of the right options.
        sampling: Further answers to each query.
    """

    job: str
    algorithm: str
    split: str
    limit: int | None
    files: dict[str, str]
    edge: Participant
    cloud: Participant
    queries: Sequence[Query]
    gold: Sequence[str]
    sampling: Sampling

    def fingerprint(self) -> dict[str, str]:
        """What decides the rows, part by part, so that a difference can be named."""
        return {
            "--split": self.split,
            "--limit": str(self.limit),
            "--samples": str(self.sampling.count),
            "--temperature": str(self.sampling.temperature),
            "--seed": str(self.sampling.seed),
            **{f"{end.where} model": model_identity(end.server.info) for end in self._ends},
            **{f"decoding of the {end.where} model": _digest([asdict(end.params), end.chat]) for end in self._ends},
            **{f"file {path}": digest for path, digest in self.files.items()},
            "prompts": self._prompts(),
            "right answers": _digest(list(self.gold)),
            "extractor": _digest(self._extractors()),
        }

    def about(self) -> dict[str, Any]:
        """What `trace.json` says when the recording begins."""
        return {
            "name": f"{self.job}-{self.split}",
            "queries": len(self.queries),
            "source": "recorded",
            "algorithm": self.algorithm,
            "split": self.split,
            "limit": self.limit,
            **{end.where: _describe(end) for end in self._ends},
            "extractor": self._extractors(),
            "sampling": asdict(self.sampling),
            "data_sha256": self.files,
            "prompts_sha256": self._prompts(),
            "started": now(),
            "command": command_line(),
            "machine": machine(),
            "versions": versions(),
            "git": git_revision(),
            "fingerprint": self.fingerprint(),
        }

    @property
    def _ends(self) -> tuple[Participant, Participant]:
        return self.edge, self.cloud

    def _prompts(self) -> str:
        return _digest([[query["query"], query.get("messages")] for query in self.queries])

    def _extractors(self) -> list[str]:
        """Extractors with their versions."""
        named = {str(query.get("extractor") or DEFAULT_EXTRACTOR) for query in self.queries}
        return sorted(extract(name, "", {}).extractor for name in named)


def now() -> str:
    """Local time, `YYYY-mm-dd HH:MM:SS`."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _describe(end: Participant) -> dict[str, Any]:
    return {**asdict(end.server.info), "decoding": asdict(end.params), "chat": end.chat}


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
