"""Write a model card: what the model is, how it was trained, its losses, and its accuracy by subject and language."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from safetensors import safe_open

from ianvs_collab.zoo.evaluate import Score, scores
from ianvs_collab.zoo.question import Question

EVALUATION = "evaluation.json"

_HEAD = """---
license: apache-2.0
language: [en, zh]
library_name: transformers
pipeline_tag: text-generation
---

# Nano {name} model

A Llama of {layers} layers and width {width} ({parameters:,} parameters, {size:.2f} MB in float16), trained from scratch
on generated multiple-choice questions in English and Chinese. It knows nothing else: it is there so that a benchmark of
cloud-edge collaboration can run on real models without a download.

| training | |
|---|---|
| tokens seen | {tokens:.1f} million |
| wall time | {minutes:.1f} minutes on a machine with two CPU cores |
| again | `python -m ianvs_collab.zoo.train --model {name}`, with the settings in the zoo's README |

![Loss over training](loss.svg)

## Accuracy

Greedy answers to {total:,} held-out questions (the first 612 are the test set of `testenv/nano`), graded by the option
that the answer names. 95 % intervals are Wilson's; chance is 25 %.

"""


def table(title: str, rows: Mapping[str, Score]) -> str:
    """Return a Markdown table of scores."""
    lines = [f"| {title} | accuracy | 95 % interval | right |", "|---|---|---|---|"]
    for name, score in rows.items():
        low, high = score.interval
        lines.append(f"| {name} | {score.accuracy:.1%} | {low:.1%} to {high:.1%} | {score.right} of {score.total} |")
    return "\n".join(lines) + "\n"


def write_card(
    folder: Path,
    name: str,
    questions: Sequence[Question],
    right: Mapping[int, Sequence[bool]],
    loss_csv: Path,
) -> Score:
    """Write `README.md`, `evaluation.json`, `loss.csv` and `loss.svg` into a checkpoint folder.

    Args:
        folder: the checkpoint.
        name: the model's name in the zoo.
        questions: held-out questions.
        right: which of them were answered right, by the layers used: each early exit's and, last, the whole model's.
        loss_csv: the training log.

    Returns:
        The score of the whole model.
    """
    with loss_csv.open(encoding="utf-8", newline="") as file:
        log = list(csv.DictReader(file))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    *early, whole = (Score(sum(answers), len(questions)) for _, answers in sorted(right.items()))
    answers = right[max(right)]
    by_subject = dict(sorted(scores(questions, answers, lambda q: q.subject).items()))
    by_language = dict(sorted(scores(questions, answers, lambda q: q.language).items()))
    by_depth = {f"exit after layer {layer}": score for layer, score in zip(sorted(right), early, strict=False)}
    head = _HEAD.format(
        name=name,
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        parameters=parameters_of(folder),
        size=sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e6,
        tokens=float(log[-1]["tokens"]) / 1e6,
        minutes=float(log[-1]["minutes"]),
        total=whole.total,
    )
    tables = [table("", {"all": whole, **by_depth}), table("language", by_language), table("subject", by_subject)]
    (folder / "README.md").write_text(head + "\n".join(tables), encoding="utf-8")
    results = {"all": whole, **by_depth, **by_language, **by_subject}
    evaluation = {name: {"right": score.right, "total": score.total} for name, score in results.items()}
    (folder / EVALUATION).write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")
    (folder / "loss.csv").write_text(loss_csv.read_text(encoding="utf-8"), encoding="utf-8")
    draw_loss(folder / "loss.csv", folder / "loss.svg")
    return whole


def draw_loss(loss_csv: Path, picture: Path) -> None:
    """Draw a training log as a small SVG, the same bytes for the same log.

    The loss is drawn over the tokens seen, or over epochs where the log counts those; held-out losses as a second line.
    """
    with loss_csv.open(encoding="utf-8", newline="") as file:
        log = list(csv.DictReader(file))
    by_epoch = "epoch" in log[0]
    x = [float(row["epoch"]) if by_epoch else float(row["tokens"]) / 1e6 for row in log]
    with mpl.rc_context({"svg.hashsalt": "loss", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(4.2, 2.4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(x, [float(row["loss"]) for row in log], color="#0072B2", linewidth=1, label="training")
        if log[0].get("held_out"):
            held_out = [float(row["held_out"]) for row in log]
            axes.plot(x, held_out, color="#D55E00", linewidth=1, linestyle="--", label="held out")
            axes.legend(frameon=False)
        axes.set(xlabel="epochs" if by_epoch else "million tokens seen", ylabel="loss (nats)", ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(picture, metadata={"Date": None})


def parameters_of(folder: Path) -> int:
    """Count the numbers in a checkpoint's `model.safetensors`."""
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 - not a dict
    total = 0
    for shape in shapes:
        count = 1
        for side in shape:
            count *= side
        total += count
    return total
