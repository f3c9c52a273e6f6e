"""Train a nano model from scratch: `python -m ianvs_collab.zoo.train --model edge|cloud|router --minutes 60`.

The state is kept in the build folder, so the same command goes on where an earlier one stopped. A finished run is
exported: checkpoint, exit heads, tokenizer, loss curve and a model card with the accuracy on the held-out questions.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

from tqdm import tqdm

from ianvs_collab.zoo.card import write_card
from ianvs_collab.zoo.checkpoint import WEIGHTS, replace_folder, save_checkpoint
from ianvs_collab.zoo.evaluate import Score, answer, answer_at_exits
from ianvs_collab.zoo.export import test_questions
from ianvs_collab.zoo.model import SHAPES
from ianvs_collab.zoo.router import train_router
from ianvs_collab.zoo.tokenizer import load_tokenizer
from ianvs_collab.zoo.tracing import TRAIN_FOLDER
from ianvs_collab.zoo.trainer import Settings, Trainer, load_state, save_state
from ianvs_collab.zoo.workers import agreed, run_workers


def train(trainer: Trainer, folder: Path) -> None:
    """Train until the budget is used, saving the state at pool boundaries.

    Time is read between pools only, from the first worker's clock: all workers then schedule alike.
    """
    settings, clock = trainer.settings, trainer.clock
    saved = started = time.monotonic()
    before = clock.seconds
    first = trainer.rank == 0
    form = "{desc} {percentage:3.0f}%|{bar:20}| {postfix}"
    with tqdm(total=100, mininterval=5, bar_format=form, disable=not first) as bar:
        while clock.share(settings) < 1:
            for batch in trainer.next_pool():
                losses = trainer.step(batch)
            clock.seconds = agreed(before + time.monotonic() - started)
            trainer.log.append(_log_row(trainer, losses))
            bar.n = min(100, round(100 * clock.share(settings), 1))
            bar.set_postfix_str(
                f"loss {losses[trainer.depth]:.3f} right {trainer.progress.mean:.1%} layers {trainer.depth} "
                f"tokens {clock.tokens / 1e6:.1f} M in {clock.seconds / 60:.1f} min"
            )
            if first and time.monotonic() - saved > settings.save_seconds:
                save_state(trainer, folder)
                saved = time.monotonic()
    if first:
        save_state(trainer, folder)


def _log_row(trainer: Trainer, losses: dict[int, float]) -> dict[str, float]:
    clock = trainer.clock
    return {
        "step": clock.steps,
        "tokens": clock.tokens,
        "minutes": round(clock.seconds / 60, 2),
        "layers": trainer.depth,
        "loss": round(losses[trainer.depth], 4),
        "right": round(trainer.progress.mean, 4),
    }


@dataclass(frozen=True, slots=True)
class Folders:
    """Where training states, finished checkpoints and the trace that routers learn from are kept."""

    build: Path
    weights: Path
    train_data: Path


def parse_arguments(arguments: list[str] | None = None) -> tuple[Settings, Folders]:
    """Read the command line into settings and folders."""
    parser = argparse.ArgumentParser(prog="python -m ianvs_collab.zoo.train", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", choices=[*SHAPES, "router"], required=True)
    for item in fields(Settings)[1:]:
        default = getattr(Settings(), item.name)
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--build", type=Path, default=Path("build/zoo"), help="where states are kept")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the finished checkpoint goes")
    parser.add_argument("--train-data", type=Path, default=TRAIN_FOLDER, help="where the routers' trace goes")
    values = vars(parser.parse_args(arguments))
    folders = Folders(*(values.pop(name) for name in ("build", "weights", "train_data")))
    return Settings(**values), folders


def export(settings: Settings, build: Path, weights: Path) -> Score:
    """Make a checkpoint with a measured model card of the saved state, even of an unfinished run.

    Layers that have not begun yet are the identity, so the last norm that was trained stands in for the final one.

    Raises:
        FileNotFoundError: if nothing has been trained yet.
    """
    source = build / settings.model
    state = load_state(source)
    if state is None:
        raise FileNotFoundError(f"no training state in {source}; run python -m ianvs_collab.zoo.train first")
    trainer = Trainer(settings, load_tokenizer())
    trainer.restore(state)
    trainer.finish_norm()
    questions = test_questions()
    scored: list[Score] = []

    def write(folder: Path) -> None:
        save_checkpoint(folder, trainer.model, trainer.exits, trainer.tokenizer)
        right = answer_at_exits(folder, questions) | {trainer.shape.layers: answer(folder, questions)}
        scored.append(write_card(folder, settings.model, questions, right, source / "loss.csv"))

    replace_folder(weights / settings.model, write)
    return scored[0]


def run(settings: Settings, build: Path, rank: int = 0) -> None:
    """Train one model to the end of its budget as one worker, going on from a saved state where there is one."""
    folder = build / settings.model
    trainer = Trainer(settings, load_tokenizer(), rank)
    state = load_state(folder)
    if state is not None:
        trainer.restore(state)
    train(trainer, folder)


def main(arguments: list[str] | None = None) -> None:
    """Train the model the command line names."""
    settings, folders = parse_arguments(arguments)
    if settings.model == "router":
        print(train_router(folders.weights, folders.train_data))
        return
    run_workers(settings.workers, partial(run, settings, folders.build))
    score = export(settings, folders.build, folders.weights)
    print(f"{settings.model}: {score.accuracy:.1%} of {score.total} held-out questions")


if __name__ == "__main__":
    main()
