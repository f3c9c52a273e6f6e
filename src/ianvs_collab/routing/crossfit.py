"""Scores of training queries by scorers that have not seen them: what thresholds and ensembles are set by.

A trained scorer is too sure of the queries it learned from, so a threshold taken from its scores for them would send
another share of new queries to the cloud than was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedKFold

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorer import Input, Scorer
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces.trace import Floats


def out_of_fold(scorer: Scorer, inputs: Sequence[Input], target: Target, folds: int = 5, seed: int = 0) -> Floats:
    """Scores of all inputs, each by a twin of the scorer that was trained on the other folds; shape (n,).

    Args:
        scorer: Its settings count, not what it has learned; it stays as it is.
        inputs: Training queries, or the edge's answers to them.
        target: Their labels.
        folds: Number of folds, in which the classes are about equally frequent.
        seed: Of the folds.

    Raises:
        RouterError: If there are fewer than two folds, or too few queries of the most frequent class for as many.
    """
    classes = target.probabilities.argmax(axis=1)
    largest = int(np.bincount(classes).max()) if len(classes) else 0
    if folds < 2 or largest < folds:  # noqa: PLR2004 - one fold leaves nothing to train on
        raise RouterError(
            f"{len(inputs)} labelled queries, at most {largest} of a class, cannot be cut into {folds} folds; "
            "give at least 2 folds and as many queries"
        )
    scores = np.empty(len(inputs))
    for train, test in _splits(classes, folds, seed):
        twin = scorer.fresh().fit([inputs[i] for i in train], target.subset(train))
        scores[test] = twin.scores([inputs[i] for i in test])
    return scores


def _splits(classes: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Stratified folds; classes rarer than the number of folds are spread as far as they go."""
    counts = np.bincount(classes)
    strata = np.where(counts[classes] < folds, counts.argmax(), classes)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros((len(classes), 1)), strata))
