"""How many answers a second the extractors read.

The answers are the right option's text, the same in a sentence, its letter, and a few words that name no option, for
each held-out nano question. Prints for each extractor the median of several repetitions in answers a second of
processor time, which a busy machine changes least, and which share it could read: fast is easy for one that reads
nothing.

Run it from the repository's root: `python benchmarks/extraction.py [--questions 1224] [--repeat 5]`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence

from ianvs_collab.grading import extract, extractor_names
from ianvs_collab.zoo.export import test_questions
from ianvs_collab.zoo.question import Question

Case = tuple[str, Mapping[str, str]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=1224, help="held-out questions (default: all 1224)")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions (default: 5)")
    arguments = parser.parse_args()
    cases = [case for question in test_questions()[: arguments.questions] for case in completions(question)]
    rates: dict[str, list[float]] = {name: [] for name in extractor_names()}
    read: dict[str, float] = {}
    for _ in range(arguments.repeat):
        for name, found in rates.items():
            seconds, read[name] = measure(name, cases)
            found.append(len(cases) / seconds)
    print(f"{len(cases)} answers, median of {arguments.repeat}")
    print(f"{'':18}{'answers/s':>12}{'read':>8}")
    for name, found in rates.items():
        print(f"{name:18}{statistics.median(found):>12.0f}{read[name]:>8.1%}")


def completions(question: Question) -> list[Case]:
    """Answers as models give them."""
    texts = (
        question.choices[question.answer],
        question.completion,
        f"The answer is ({question.answer}).",
        "I am not sure about that.",
    )
    return [(text, question.choices) for text in texts]


def measure(name: str, cases: Sequence[Case]) -> tuple[float, float]:
    """Processor time for all answers in seconds, and the share of them in which an option was read."""
    start = time.process_time()
    letters = [extract(name, text, choices).letter for text, choices in cases]
    seconds = time.process_time() - start
    return seconds, sum(letter is not None for letter in letters) / len(letters)


if __name__ == "__main__":
    main()
