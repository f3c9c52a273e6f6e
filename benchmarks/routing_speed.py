"""What one routing decision costs, and how that compares with the encoder that the router asks.

Each scorer is trained on a trace and then asked for one query after the other, as a router is in a job. Prints medians,
because a machine is never idle:

* scorers that ask no model: wall time of a decision;
* scorers that ask one: wall time of a decision, of the model's own work on the same text (tokenisation and forward
  pass, by plain transformers), and their ratio. Both are timed by turns, query by query, in one run and on the same
  number of threads, and the ratio is the median of the queries' ratios, so that a busy machine hurts both alike. The
  embedding cache plays no part: a lone query is always computed;
* many queries at once: forward passes, and wall time for each query.

The trace is a folder (`--trace FOLDER`), by default the nano trace of the repository. Embedding scorers need the
optional package (`pip install "ianvs-collab[minilm]"`). Run it from the repository's root:
`python benchmarks/routing_speed.py [--queries 150] [--train 600] [--scorers subject-prior,tfidf]`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ianvs_collab.inference import Query
from ianvs_collab.modelserver.embedding_model import load_encoder, locate_encoder
from ianvs_collab.routing.labels import target_of
from ianvs_collab.routing.scorer import Scorer, make_scorer
from ianvs_collab.routing.text import question_text
from ianvs_collab.routing.traces import Trace, read_trace

PROMISED_MS, PROMISED_RATIO = 1.0, 1.1
QUICK = ["subject-prior", "length", "tfidf", "tfidf-subject", "question-features"]
EMBEDDING = ["embedding-lr", "embedding-subject-lr", "embedding-knn", "embedding-gb", "rank-ensemble"]
TUNED = ["encoder", "causal-lm"]
WARM_UP, REPEAT = 10, 3


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", default="testenv/nano/train_data", help="folder of the trace")
    parser.add_argument("--queries", type=int, default=150, help="decisions that are timed (default 150)")
    parser.add_argument("--train", type=int, default=600, help="queries that are learned from (default 600)")
    parser.add_argument("--scorers", default=",".join([*QUICK, *EMBEDDING, *TUNED]), help="names, with commas")
    options = parser.parse_args()
    trace = read_trace(options.trace)
    order = np.random.default_rng(0).permutation(len(trace))
    train, test = trace.subset(order[options.queries :][: options.train]), trace.subset(order[: options.queries])
    print(f"{len(train)} training queries, {len(test)} decisions, {torch.get_num_threads()} threads\n")
    print("| scorer | one decision, ms | model alone, ms | ratio | promise | in a batch, ms a query | forward passes |")
    print("|---|---:|---:|---:|---|---:|---:|")
    for name in options.scorers.split(","):
        print(row(name, train, test.queries()), flush=True)


def row(name: str, train: Trace, queries: list[Query]) -> str:
    """A line of the table for one scorer."""
    settings: dict[str, Any] = {"epochs": 1} if name in TUNED else {}
    scorer = make_scorer(name, **settings).fit(train.queries(), target_of(train, "delta"))
    if name in QUICK:
        alone = statistics.median(by_turns([lambda query: scorer.scores([query])], queries)[0])
        batch, passes = at_once(scorer, queries, None)
        return f"| {name} | {alone:.3f} | | | {verdict(alone, PROMISED_MS, ' ms')} | {batch:.3f} | |"
    model, forward = model_of(scorer)
    with quiet_cache():
        decisions, forwards = by_turns([lambda query: scorer.scores([query]), forward], queries)
        batch, passes = at_once(scorer, queries, model)
    ratio = statistics.median(ours / own for ours, own in zip(decisions, forwards, strict=True))
    medians = f"{statistics.median(decisions):.3f} | {statistics.median(forwards):.3f} | {ratio:.3f}"
    return f"| {name} | {medians} | {verdict(ratio, PROMISED_RATIO, ' x')} | {batch:.3f} | {passes} |"


def verdict(measured: float, promised: float, unit: str) -> str:
    """Whether the promise is kept."""
    return f"{'kept' if measured <= promised else 'MISSED'} (<= {promised:g}{unit})"


def by_turns(calls: list[Callable[[Query], Any]], queries: list[Query]) -> list[list[float]]:
    """Milliseconds of each call for each query; which call comes first changes from query to query."""
    for query in queries[:WARM_UP]:
        for call in calls:
            call(query)
    times: list[list[float]] = [[] for _ in calls]
    for number, query in enumerate(queries):
        turn = range(len(calls)) if number % 2 else reversed(range(len(calls)))
        for which in turn:
            started = time.perf_counter()
            calls[which](query)
            times[which].append((time.perf_counter() - started) * 1e3)
    return times


def model_of(scorer: Scorer) -> tuple[Any, Callable[[Query], Any]]:
    """The model a scorer asks, and its own work on one query."""
    if scorer.name in TUNED:
        classifier = scorer.trained()  # type: ignore[attr-defined]
        model, tokenizer, longest, threads = (
            classifier.model,
            classifier.tokenizer,
            classifier.longest,
            classifier.threads,
        )
    else:
        encoder = load_encoder(locate_encoder("minilm"))
        model, tokenizer, longest, threads = encoder.model, encoder.tokenizer, encoder.max_tokens, own_threads

    @torch.inference_mode()
    def forward(query: Query) -> Any:
        with threads():
            encoded = tokenizer(question_text(query), truncation=True, max_length=longest, return_tensors="pt")
            return model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])

    return model, forward


@contextmanager
def own_threads() -> Iterator[None]:
    """PyTorch's own choice of threads."""
    yield


@contextmanager
def quiet_cache() -> Iterator[None]:
    """Compute every embedding, also of a batch."""
    from ianvs_collab.modelserver import embedding

    found, embedding.EmbeddingStore.get = embedding.EmbeddingStore.get, lambda own, texts: {}
    try:
        yield
    finally:
        embedding.EmbeddingStore.get = found


def at_once(scorer: Scorer, queries: list[Query], model: Any) -> tuple[float, int]:
    """Milliseconds a query when all are scored together, and the forward passes that took."""
    passes: list[int] = []
    hook = model.register_forward_hook(lambda *_: passes.append(1)) if model is not None else None
    times = []
    for _ in range(REPEAT):
        started = time.perf_counter()
        scorer.scores(queries)
        times.append(time.perf_counter() - started)
    if hook is not None:
        hook.remove()
    return statistics.median(times) / len(queries) * 1e3, len(passes) // REPEAT


if __name__ == "__main__":
    main()
