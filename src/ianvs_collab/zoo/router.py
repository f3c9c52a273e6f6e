"""The nano router: a small RoBERTa that reads a question and says what the cloud is worth for it.

It learns from the two trained models' own answers to training questions, by the same fine-tuning as any other encoder
(`ianvs_collab.routing.scorers.encoder`), from random weights. Two labels are tried, `gain` and `delta`, and the one
that orders held-out questions better is kept.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForSequenceClassification

from ianvs_collab.modelserver.backends.hf_loading import quiet
from ianvs_collab.routing.evaluation import curve
from ianvs_collab.routing.labels import target_of
from ianvs_collab.routing.scorers.encoder import EncoderScorer
from ianvs_collab.routing.scorers.finetuning import Epoch
from ianvs_collab.routing.traces import Trace
from ianvs_collab.routing.traces.trace import Floats
from ianvs_collab.zoo.card import draw_loss, parameters_of
from ianvs_collab.zoo.checkpoint import replace_folder
from ianvs_collab.zoo.export import test_questions
from ianvs_collab.zoo.tokenizer import CLS, MAX_LENGTH, load_tokenizer
from ianvs_collab.zoo.tracing import TRAIN_PER_CELL, TRAIN_SEED, graded, record, train_questions, write

CLOUD_SHARE = 0.4
CLASSES = {"gain": ("same", "gain"), "delta": ("loss", "same", "gain")}


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """How much the router is trained.

    Attributes:
        per_cell: labelled questions of each subject and language.
        recorded: how many of these are recorded as the trace that other routers learn from.
        epochs: passes over the labelled questions, at most.
        patience: epochs without a better held-out loss after which training stops.
        batch_size: questions in a step.
        rate: AdamW's highest learning rate.
        seed: of the initial weights, the order and the validation split.
    """

    per_cell: int = 240
    recorded: int = TRAIN_PER_CELL
    epochs: int = 16
    patience: int = 4
    batch_size: int = 64
    rate: float = 2e-3
    seed: int = TRAIN_SEED


def router_tokenizer() -> PreTrainedTokenizerFast:
    """Return the zoo's tokenizer as an encoder uses it: a classification token first, padding on the right."""
    tokenizer = load_tokenizer()
    tokenizer.padding_side = "right"
    tokenizer.chat_template = None
    cls = [(CLS, tokenizer.cls_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{CLS} $A", special_tokens=cls)
    return tokenizer


def build_router(tokenizer: PreTrainedTokenizerFast) -> RobertaForSequenceClassification:
    """Return a fresh encoder of three layers; RoBERTa counts positions from the padding id + 1."""
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=MAX_LENGTH + tokenizer.pad_token_id + 1,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return RobertaForSequenceClassification(config)


def fit(trace: Trace, label: str, settings: RouterSettings) -> EncoderScorer:
    """Train a router from random weights on what both models made of a trace's questions."""
    with tempfile.TemporaryDirectory() as folder, quiet():
        tokenizer = router_tokenizer()
        tokenizer.save_pretrained(folder)
        build_router(tokenizer).save_pretrained(folder)
        scorer = EncoderScorer(
            model=folder,
            from_scratch=True,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            rate=settings.rate,
            patience=settings.patience,
            seed=settings.seed,
        )
        scorer.fit(trace.queries(), target_of(trace, label))
    names = CLASSES[label]
    scorer.classifier_.model.config.id2label = dict(enumerate(names))
    scorer.classifier_.model.config.label2id = {name: number for number, name in enumerate(names)}
    return scorer


def train_router(weights: Path, train_folder: Path, settings: RouterSettings | None = None) -> str:
    """Record a trace of both models, train the router on it, write both and a model card.

    Returns:
        One line that says how good it is on held-out questions.
    """
    settings = settings or RouterSettings()
    questions = train_questions(settings.per_cell)
    shown = questions[: settings.recorded * len(questions) // settings.per_cell]
    recorded = record(shown, weights)
    write(train_folder, shown, recorded)
    rest = questions[len(shown) :]
    labelled = Trace([*recorded, *graded(rest, weights)] if rest else recorded.rows)
    return make_router(weights, labelled, graded(test_questions(), weights), settings)


def make_router(weights: Path, labelled: Trace, held_out: Trace, settings: RouterSettings) -> str:
    """Train with each label, keep the better router, and write it with its card.

    Returns:
        One line that says how good it is on held-out questions.
    """
    scorers = {label: fit(labelled, label, settings) for label in CLASSES}
    measured = {label: measure(held_out, scorer.scores(held_out.queries())) for label, scorer in scorers.items()}
    best = max(measured, key=lambda label: measured[label]["apgr"])

    def write_into(folder: Path) -> None:
        scorer = scorers[best]
        scorer.classifier_.model.to(dtype=torch.float16)
        scorer.save(folder)
        _write_card(folder, best, measured, scorer.history_, len(labelled))

    replace_folder(weights / "router", write_into)
    told = ", ".join(f"{label} {values['apgr']:.3f}" for label, values in measured.items())
    return f"router: APGR {told}; accuracy {measured[best]['routed']:.1%} at {CLOUD_SHARE:.0%} cloud share"


def measure(trace: Trace, scores: Floats) -> dict[str, float]:
    """Compare a router with both models alone, with chance and with an oracle, at the same cloud share."""
    edge, cloud = trace.quality("edge"), trace.quality("cloud")
    router, oracle = curve(scores, edge, cloud), curve(cloud - edge, edge, cloud)
    return {
        "questions": len(trace),
        "auc": float(roc_auc_score(cloud > edge, scores)),
        "apgr": router.apgr,
        "normalised": router.normalised,
        "oracle_apgr": oracle.apgr,
        "edge": float(edge.mean()),
        "cloud": float(cloud.mean()),
        "random": float(edge.mean() + CLOUD_SHARE * (cloud - edge).mean()),
        "routed": float(router.quality_at(CLOUD_SHARE)),
        "oracle": float(oracle.quality_at(CLOUD_SHARE)),
    }


_CARD = """---
license: apache-2.0
language: [en, zh]
library_name: transformers
pipeline_tag: text-classification
---

# Nano router

A RoBERTa-architecture encoder ({parameters:,} parameters) that reads a question and says how likely it is that the nano
cloud model does better than the nano edge model (classes {classes}). Its score is the expected worth of the cloud; what
each class is worth stands under `worth` in `config.json`. Trained from random weights on both models' own answers to
{trained:,} training questions, among them those of the trace in `testenv/nano/train_data`. Again:
`python -m ianvs_collab.zoo.train --model router`.

On {questions:.0f} held-out questions (the first 612 are the test set of `testenv/nano`) it has an AUC of {auc:.3f} for
telling where only the cloud is right. Accuracy when {share:.0%} of the questions go to the cloud:

| edge only | cloud only | random {share:.0%} | this router {share:.0%} | oracle {share:.0%} |
|---|---|---|---|---|
| {edge:.1%} | {cloud:.1%} | {random:.1%} | {routed:.1%} | {oracle:.1%} |

The oracle sends the questions first that only the cloud gets right. Over all cloud shares (APGR; random order has 0.5,
the oracle {oracle_apgr:.3f}), by the label that was learned; the better one is kept, so its figure is a bit flattered:

| label | APGR | normalised |
|---|---|---|
{labels}

![Loss over epochs](loss.svg)

A router that is fine-tuned from this checkpoint has seen the answers to the trace's questions: judge it on other ones.
"""


def _write_card(
    folder: Path, label: str, measured: Mapping[str, Mapping[str, float]], losses: Sequence[Epoch], trained: int
) -> None:
    rows = [f"| {name} | {values['apgr']:.3f} | {values['normalised']:.3f} |" for name, values in measured.items()]
    text = _CARD.format(
        **measured[label],
        parameters=parameters_of(folder),
        classes=", ".join(f"`{name}`" for name in CLASSES[label]),
        trained=trained,
        share=CLOUD_SHARE,
        labels="\n".join(rows),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
    evaluation = {"label": label, **measured[label], "by_label": measured}
    (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=2) + "\n", encoding="utf-8")
    with (folder / "loss.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["epoch", "loss", "held_out"])
        writer.writerows(
            (number, *map(_rounded, (epoch.loss, epoch.held_out))) for number, epoch in enumerate(losses, 1)
        )
    draw_loss(folder / "loss.csv", folder / "loss.svg")


def _rounded(loss: float | None) -> float | str:
    return "" if loss is None else round(loss, 4)
