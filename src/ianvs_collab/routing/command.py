"""`ianvs router train|calibrate|evaluate`: routers made, given a threshold and judged outside of a job, on traces."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ianvs_collab.link import DeploymentError, load_deployment
from ianvs_collab.modelserver.types import ModelServerError
from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.calibration import (
    Budget,
    CloudShare,
    FirstToken,
    Quality,
    Realised,
    Replayed,
    calibrate,
    realised,
)
from ianvs_collab.routing.evaluation import command as evaluation
from ianvs_collab.routing.heldout import split, unseen_part
from ianvs_collab.routing.labels import LABELS, target_of
from ianvs_collab.routing.scorer import make_scorer, scorer_names
from ianvs_collab.routing.store import ABOUT, StoredRouter, load_router, save_router, trace_digest
from ianvs_collab.routing.traces import read_trace


def main(argv: Sequence[str]) -> int:
    """Run `ianvs router <argv>`.

    Args:
        argv: What stands behind `ianvs router` on the command line.

    Returns:
        0 if it was done, 1 if not (the reason stands on stderr).

    Raises:
        SystemExit: If the command line is wrong (status 2) or asks for help (0).
    """
    arguments = _parser().parse_args(list(argv))
    command: Callable[[argparse.Namespace], list[str]] = arguments.run
    try:
        print("\n".join(command(arguments)))
    except (RouterError, DeploymentError, ModelServerError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"{error.filename}: cannot be written ({error.strerror}); free space or name another folder",
            file=sys.stderr,
        )
        return 1
    return 0


def train(arguments: argparse.Namespace) -> list[str]:
    """Train a scorer on a part of a trace and keep it as a router without a threshold.

    Raises:
        RouterError: If the trace cannot be used, or there is no such scorer or setting.
    """
    _check_target(arguments.to, arguments.replace)
    trace = read_trace(arguments.trace)
    scorer = make_scorer(arguments.scorer, **evaluation.read_settings(arguments.set))
    part, rest = split(trace, arguments.train_share, arguments.seed)
    scorer.fit(part.inputs(scorer.reads_answer), target_of(part, arguments.label))
    training = {
        "trace": trace.name,
        "trace_sha256": trace_digest(trace),
        "queries": len(part),
        "left_for_calibration": len(rest),
        "train_share": arguments.train_share,
        "seed": arguments.seed,
    }
    save_router(StoredRouter(scorer, arguments.label, training), arguments.to)
    return [
        f"trained {scorer.name} on {len(part)} queries of {trace.name}, label {arguments.label} -> {arguments.to}",
        f"Next: ianvs router calibrate {arguments.to} --trace {arguments.trace} --cloud-share 0.4",
    ]


def _check_target(folder: str, replace: bool) -> None:
    """See that no router is lost before anything is trained."""
    if (Path(folder) / ABOUT).exists() and not replace:
        raise RouterError(f"{folder} holds a router already; name another folder, or add --replace to train it anew")


def calibrate_router(arguments: argparse.Namespace) -> list[str]:
    """Set a router's threshold for a budget on queries it was not trained on, and measure it on yet others.

    Raises:
        RouterError: If too few queries are left, or no threshold keeps the budget.
    """
    stored = load_router(arguments.router)
    trace = read_trace(arguments.trace)
    unseen = unseen_part(stored, trace)
    first, second = split(unseen, 0.5, arguments.seed)
    deployment = load_deployment(arguments.deployment) if arguments.deployment else None
    budget = _budget(arguments)
    parts = [Replayed.of(part, deployment, stored.scorer.reads_answer) for part in (first, second)]
    scores = [stored.scorer.scores(part.inputs(stored.scorer.reads_answer)) for part in (first, second)]
    chosen = calibrate(scores[0], parts[0], budget)
    held_out = realised(
        chosen.threshold, scores[1], parts[1], budget, calibration_scores=scores[0], seed=arguments.seed
    )
    about = {
        "budget": budget.name,
        "deployment": deployment.name if deployment else "none",
        "calibrated_on_queries": len(first),
        "value_there": chosen.calibrated,
        "measured_on_queries": len(second),
        **{f"realised_{key}": value for key, value in asdict(held_out).items()},
        "drift": held_out.value - budget.asked,
        "seed": arguments.seed,
    }
    save_router(stored.calibrated(chosen.threshold, about), arguments.router)
    return [f"threshold {chosen.threshold:.6g} for {budget.name}", *_told(budget, held_out, len(second))]


def _told(budget: Budget, held_out: Realised, count: int) -> list[str]:
    lines = [
        f"on {count} held-out queries: {budget.shown(held_out.value)} ({budget.shown(held_out.low)} to "
        f"{budget.shown(held_out.high)}, 95 %), asked {budget.shown(budget.asked)}, "
        f"drift {'+' if held_out.value >= budget.asked else ''}{budget.shown(held_out.value - budget.asked)}",
        f"cloud share {held_out.cloud_share:.1%}, quality {held_out.quality:.4g}",
    ]
    if held_out.shift_p < 0.01:  # noqa: PLR2004 - one false alarm in a hundred calibrations
        lines.append(
            f"warning: scores of the held-out queries differ from the calibration's (Kolmogorov-Smirnov "
            f"{held_out.score_shift:.2f}, p = {held_out.shift_p:.2g}); the threshold may not hold"
        )
    return lines


def _budget(arguments: argparse.Namespace) -> Budget:
    if arguments.cloud_share is not None:
        return CloudShare(arguments.cloud_share)
    if arguments.quality is not None:
        return Quality(arguments.quality)
    return FirstToken(arguments.ttft_p95_ms / 1000)


def _fraction(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be a fraction from 0 to 1, not {text!r}")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ianvs router", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_train(commands.add_parser("train", help="train a router on a trace"))
    _add_calibrate(commands.add_parser("calibrate", help="set a trained router's threshold for a budget"))
    evaluation.add_arguments(commands.add_parser("evaluate", help="compare routers on queries they have not seen"))
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=train)
    parser.add_argument("--trace", required=True, metavar="FOLDER", help="trace to learn from")
    parser.add_argument("--scorer", required=True, metavar="NAME", help=f"one of {', '.join(scorer_names())}")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the scorer")
    parser.add_argument("--label", choices=tuple(LABELS), default="delta", help="what is learned (default: delta)")
    parser.add_argument(
        "--train-share",
        type=_fraction,
        default=0.6,
        metavar="X",
        help="part of the trace that is learned from; the rest is for calibration (default: 0.6)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the split (default: 0)")
    parser.add_argument("--to", required=True, metavar="FOLDER", help="where the router is kept")
    parser.add_argument("--replace", action="store_true", help="a router that is there already is given up")


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=calibrate_router)
    parser.add_argument("router", metavar="ROUTER", help="folder that `ianvs router train` wrote")
    parser.add_argument("--trace", required=True, metavar="FOLDER", help="the trace it was trained on, or another one")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--cloud-share", type=_fraction, metavar="X", help="at most this part of queries to the cloud")
    budget.add_argument("--quality", type=_fraction, metavar="X", help="at least this part of the cloud's quality")
    budget.add_argument("--ttft-p95-ms", type=float, metavar="MS", help="p95 time to first token at most this long")
    parser.add_argument("--deployment", metavar="FILE", help="devices and link, for a budget of latency")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of split and bootstrap (default: 0)")
