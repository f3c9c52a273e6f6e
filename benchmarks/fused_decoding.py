"""What the fused forward pass of small models saves: the nano models with `fused=True` and with `fused=False`.

Both ways answer the same questions greedily, one question at a time and turn and turn about, so that whatever else the
machine does slows both. Prints for the edge and the cloud model the medians of output tokens a second and of the time
to the first token, the median ratio of the two ways over the questions, and how many completions are equal.

Run it from the repository's root: `python benchmarks/fused_decoding.py [--questions 60]`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from ianvs_collab.modelserver import Generation, SamplingParams, load_model
from ianvs_collab.zoo.export import test_questions

GREEDY = SamplingParams(max_tokens=64)
WAYS = (True, False)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=60, help="questions, two warm-up ones aside (default: 60)")
    count = parser.parse_args().questions
    prompts = [question.prompt for question in test_questions()[: count + 2]]
    print(f"medians of {count} greedy answers")
    print(f"{'':8}{'':8}{'tokens/s':>10}{'TTFT [ms]':>12}")
    for name in ("edge", "cloud"):
        compare(name, prompts)


def compare(name: str, prompts: Sequence[str]) -> None:
    """Measures one model both ways and prints three lines."""
    servers = {way: load_model("transformers", f"zoo:{name}", fused=way) for way in WAYS}
    given: dict[bool, list[Generation]] = {way: [] for way in WAYS}
    for number, prompt in enumerate(prompts):
        for way in WAYS if number % 2 else reversed(WAYS):
            given[way].append(servers[way].generate(prompt, GREEDY))
    pairs = list(zip(given[True][2:], given[False][2:], strict=True))
    for way in WAYS:
        rates, firsts = map(rate, given[way][2:]), [answer.token_times[0] for answer in given[way][2:]]
        forward = servers[way].info.extra["forward"]
        print(f"{name:8}{forward:12}{statistics.median(rates):>6.0f}{statistics.median(firsts) * 1e3:>12.2f}")
    faster = statistics.median(rate(fused) / rate(plain) for fused, plain in pairs)
    sooner = statistics.median(plain.token_times[0] / fused.token_times[0] for fused, plain in pairs)
    equal = sum(fused.token_ids == plain.token_ids for fused, plain in pairs)
    print(f"{name:8}{'ratio':12}{faster:>6.2f}{sooner:>12.2f}   {equal} of {len(pairs)} answers equal, token by token")


def rate(answer: Generation) -> float:
    """Output tokens a second, from the request to the last token."""
    return answer.completion_tokens / answer.token_times[-1]


if __name__ == "__main__":
    main()
