"""What the committed nano models can do: accuracy on held-out questions, size, and speed through the model server.

Prints accuracy with its 95 % Wilson interval, and the share of answers that name no option, for the edge model, the
cloud model and the cloud model after each of its early exits; edge, cloud and the gap between them by language and
subject; what the nano router makes of the two; parameters and the median time of one answer and of one token, one
question at a time; and the bytes of all weights together.

Run it from the repository's root: `python benchmarks/nano_models.py [--questions 1224] [--timed 40]`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from ianvs_collab.grading import extract
from ianvs_collab.modelserver import SamplingParams, load_model
from ianvs_collab.modelserver.locate import resolve_model
from ianvs_collab.routing.scorers.encoder import EncoderScorer
from ianvs_collab.zoo import evaluate, router
from ianvs_collab.zoo.export import test_questions
from ianvs_collab.zoo.model import ExitHeads, cut_at
from ianvs_collab.zoo.question import Question
from ianvs_collab.zoo.tracing import trace_of

NAMES = ("edge", "cloud")
Letters = list[str | None]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=1224, help="held-out questions (default: all 1224)")
    parser.add_argument("--timed", type=int, default=40, help="questions that are timed one at a time (default: 40)")
    arguments = parser.parse_args()
    questions = test_questions()[: arguments.questions]
    letters = answers(questions)
    print_depths(questions, letters)
    right = {name: rights(questions, letters[name]) for name in NAMES}
    print_groups(questions, right)
    print_router(questions, right)
    for name in NAMES:
        print_speed(name, questions[: arguments.timed])
    weights = folder("edge").parent
    print(f"all weights: {sum(file.stat().st_size for file in weights.rglob('*.safetensors')) / 1e6:.2f} MB")


def folder(name: str) -> Path:
    """Where a nano model lies."""
    return Path(resolve_model(f"zoo:{name}"))


def answers(questions: Sequence[Question]) -> dict[str, Letters]:
    """The options chosen by both models, and by the cloud model after each of its exits."""
    found: dict[str, Letters] = {}
    for name in NAMES:
        model, tokenizer = evaluate.load_model(folder(name))
        exits = ExitHeads.load(folder(name)) if name == "cloud" else None
        shorter = {f"{name}, {n} layers": cut_at(model, exits, n) for n in exits.layers} if exits else {}
        for label, answering in {**shorter, name: model}.items():
            completions = evaluate.complete(answering, tokenizer, [question.prompt for question in questions])
            pairs = zip(questions, completions, strict=True)
            found[label] = [extract(evaluate.EXTRACTOR, text, question.choices).letter for question, text in pairs]
    return found


def rights(questions: Sequence[Question], letters: Letters) -> list[bool]:
    """Which answers are right."""
    return [letter == question.answer for question, letter in zip(questions, letters, strict=True)]


def print_depths(questions: Sequence[Question], letters: dict[str, Letters]) -> None:
    """One row a model and depth."""
    print(f"{len(questions)} held-out questions, greedy, graded by {evaluate.EXTRACTOR}")
    print(f"{'':18}{'accuracy':>8}{'95 % interval':>18}{'unparsed':>10}")
    for name, chosen in letters.items():
        score = evaluate.Score(sum(rights(questions, chosen)), len(questions))
        print(f"{name:18}{cell(score):>26}{chosen.count(None) / len(chosen):>10.1%}")


def print_groups(questions: Sequence[Question], right: dict[str, list[bool]]) -> None:
    """One row a language, then one a subject."""
    print(f"{'':18}{'edge':>8}{'95 % interval':>18}{'cloud':>8}{'95 % interval':>18}{'gap':>8}")
    for group in (lambda question: question.language, lambda question: question.subject):
        edge, cloud = (evaluate.scores(questions, right[name], group) for name in NAMES)
        for subject in edge:
            cells = "".join(f"{cell(score):>26}" for score in (edge[subject], cloud[subject]))
            print(f"{subject:18}{cells}{cloud[subject].accuracy - edge[subject].accuracy:>+8.1%}")


def cell(score: evaluate.Score) -> str:
    """An accuracy with its interval."""
    low, high = score.interval
    return f"{score.accuracy:.1%}  {low:6.1%} – {high:6.1%}"


def print_router(questions: Sequence[Question], right: dict[str, list[bool]]) -> None:
    """Accuracy with the nano router's choice of questions sent to the cloud, beside chance and the oracle."""
    scorer = EncoderScorer()
    scorer.restore(folder("router"))
    trace = trace_of(questions, right["edge"], right["cloud"])
    figures = router.measure(trace, scorer.scores(trace.queries()))
    named = ", ".join(f"{name} {figures[name]:.1%}" for name in ("random", "routed", "oracle"))
    print(
        f"router, {router.CLOUD_SHARE:.0%} of the questions to the cloud: {named}; "
        f"AUC {figures['auc']:.3f}, APGR {figures['apgr']:.3f}"
    )


def print_speed(name: str, questions: Sequence[Question]) -> None:
    """Time of answers given one at a time."""
    server = load_model("transformers", f"zoo:{name}")
    given = [server.generate(question.prompt, SamplingParams(max_tokens=64)) for question in questions]
    whole = [answer.token_times[-1] for answer in given]
    steps = [
        (answer.token_times[-1] - answer.token_times[0]) / (answer.completion_tokens - 1)
        for answer in given
        if answer.completion_tokens > 1
    ]
    print(
        f"{name}: {server.info.parameters:,} parameters; median of {len(given)}: "
        f"{statistics.median(whole) * 1e3:.1f} ms an answer, {statistics.median(steps) * 1e3:.2f} ms a token"
    )


if __name__ == "__main__":
    main()
