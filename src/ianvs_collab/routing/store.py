"""A trained router in a folder: what it is (`router.json`), what it learned (`scorer/`), and its model card.

Nothing in it is bare pickle, so a router may be passed on: loading one runs no code that came with it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import Scorer, make_scorer
from ianvs_collab.routing.traces.trace import Trace

FORMAT, VERSION = "ianvs-collab router", 1
ABOUT, LEARNED, CARD = "router.json", "scorer", "README.md"


@dataclass(frozen=True)
class StoredRouter:
    """A trained scorer and how it came about.

    Attributes:
        scorer: Trained.
        label: What it learned.
        training: Name and digest of its trace, number and digest of the training queries, seed.
        threshold: Score from which on a query goes to the cloud, or None before calibration.
        calibration: Budget, data and realised value behind the threshold; empty before calibration.
    """

    scorer: Scorer
    label: str
    training: Mapping[str, Any]
    threshold: float | None = None
    calibration: Mapping[str, Any] = field(default_factory=dict)

    def calibrated(self, threshold: float, calibration: Mapping[str, Any]) -> StoredRouter:
        """The same router with a threshold."""
        return replace(self, threshold=threshold, calibration=calibration)


def trace_digest(trace: Trace) -> str:
    """SHA-256 over ids and qualities of a trace's queries, in order; tells whether two traces are the same."""
    lines = (f"{row.query_id}\t{row.edge.quality!r}\t{row.cloud.quality!r}\n" for row in trace)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def save_router(router: StoredRouter, folder: str | Path) -> None:
    """Write a router into a folder; an older router there is replaced, other contents are refused.

    Raises:
        RouterError: If the folder holds something else.
    """
    path = Path(folder)
    if path.is_dir() and any(path.iterdir()) and not (path / ABOUT).is_file():
        raise RouterError(f"{path} exists and holds no router; name a new folder")
    draft = path.with_name(f".{path.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / LEARNED).mkdir(parents=True)
    router.scorer.save(draft / LEARNED)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "scorer": router.scorer.name,
        "settings": router.scorer.settings(),
        "label": router.label,
        "training": dict(router.training),
        "threshold": router.threshold,
        "calibration": dict(router.calibration),
    }
    (draft / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (draft / CARD).write_text(_card(about), encoding="utf-8")
    shutil.rmtree(path, ignore_errors=True)
    draft.rename(path)


def load_router(folder: str | Path) -> StoredRouter:
    """Read a router.

    Raises:
        RouterError: If it is missing, damaged, or of another version.
    """
    path = Path(folder) / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RouterError(f"{path}: {error.strerror}; `ianvs router train` makes routers") from error
    except ValueError as error:
        raise RouterError(f"{path}: damaged ({error}); train the router again") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise RouterError(f"{path} does not describe a router of this program")
    if about.get("version") != VERSION:
        raise RouterError(
            f"{path}: the router has version {about.get('version')!r} of the format and this program reads {VERSION}; "
            "train it again, or use the program that made it"
        )
    try:
        scorer = make_scorer(about["scorer"], **about["settings"])
        scorer.restore(path.parent / LEARNED)
        return StoredRouter(scorer, about["label"], about["training"], about["threshold"], about["calibration"])
    except (KeyError, TypeError) as error:
        raise RouterError(f"{path}: damaged ({error!r}); train the router again") from error


def _card(about: Mapping[str, Any]) -> str:
    """A model card: what the router is, what it was trained on, what its threshold promises and kept."""
    lines = [
        "---",
        "library_name: ianvs-collab",
        "tags: [query-routing]",
        "---",
        "",
        f"# Router `{about['scorer']}`",
        "",
        "Decides for each query whether the edge model answers it or the cloud model. Made by `ianvs router train`; in "
        "an algorithm file it is the hard-example miner `SavedRouter` with this folder as `folder`.",
        "",
        f"It learned the label `{about['label']}`.",
        "",
        *_table("Settings", about["settings"]),
        *_table("Training", about["training"]),
    ]
    if about["threshold"] is None:
        return "\n".join([*lines, "It has no threshold yet: `ianvs router calibrate` sets one.", ""])
    return "\n".join(
        [*lines, f"Its threshold is {about['threshold']:.6g}.", "", *_table("Calibration", about["calibration"])]
    )


def _table(title: str, content: Mapping[str, Any]) -> list[str]:
    rows = [f"| {key.replace('_', ' ')} | {_shown(value)} |" for key, value in content.items()]
    return [f"| {title} | |", "|---|---|", *rows, ""]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
