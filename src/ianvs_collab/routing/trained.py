"""Routers that learn from a trace: a scorer, a label, and a threshold set by scores of queries it was not trained on.

What a job names is a router; what does the learning is a scorer. So a router here is three lines that name its scorer,
and every hyperparameter that is not the router's own is a setting of the scorer:

    hard_example_mining:
      name: "EmbeddingRouter"
      hyperparameters:
        - train_data: {values: ["testenv/nano/train_data"]}
        - cloud_share: {values: [0.2, 0.4]}
        - dimensions: {values: [64]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.base import Router, RouterError, threshold_for_share
from ianvs_collab.routing.crossfit import out_of_fold
from ianvs_collab.routing.labels import target_of
from ianvs_collab.routing.scorer import Scorer, make_scorer, scorer_names
from ianvs_collab.routing.store import load_router
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.traces import read_trace
from ianvs_collab.routing.traces.trace import Floats, Trace


class ScorerRouter(Router):
    """Compares a trained scorer's score with a threshold.

    Args:
        scorer: Trained.
        threshold: Score from which on a query goes to the cloud.
    """

    def __init__(self, scorer: Scorer, threshold: float) -> None:
        super().__init__(threshold)
        self.scorer = scorer

    def score(self, data: Query | Answer) -> float:
        """The scorer's score of one query.

        Raises:
            RouterError: If the scorer looks at the edge's answer and there is none.
        """
        return float(self.scores([data])[0])

    def scores(self, batch: Any) -> np.ndarray:
        """Scores of a batch, shape (len(batch),)."""
        if self.scorer.reads_answer and not all(isinstance(data, Answer) for data in batch):
            raise RouterError(
                f"the scorer {self.scorer.name!r} looks at the edge's answer: set "
                "hard_example_mining_mode: inference-then-mining"
            )
        return self.scorer.scores(batch)


class TrainedRouter(ScorerRouter):
    """Learns from a trace which queries the cloud is worth, by any scorer that is named.

    Args:
        train_data: Folder of a trace (`trace.jsonl`), disjoint from the test data.
        cloud_share: Share of queries that should go to the cloud; sets the threshold by out-of-fold scores.
        threshold: Score from which on a query goes to the cloud, instead of a share.
        label: What is learned: `det`, `prob`, `trans`, `gain` or `delta`.
        folds: For the out-of-fold scores, and the scorer's own if it has any.
        seed: Of the folds, and of the scorer if it draws at random.
        scorer: Name of the scorer, shipped or registered with `@scorer`; the routers below have one of their own.
        **settings: The scorer's.

    Raises:
        RouterError: If no scorer is named, the trace is missing or shows nothing to learn, or a setting does not exist.
    """

    scorer_name: ClassVar[str] = ""

    def __init__(
        self,
        train_data: str,
        *,
        cloud_share: float = 0.4,
        threshold: float | None = None,
        label: str = "delta",
        folds: int = 5,
        seed: int = 0,
        scorer: str | None = None,
        **settings: Any,
    ) -> None:
        name = scorer or self.scorer_name
        if not name:
            raise RouterError(f"name a scorer: one of {', '.join(scorer_names())}")
        recipe = Recipe.of(name, settings, train_data, label, folds=folds, seed=seed)
        if threshold is None:
            threshold = threshold_for_share(recipe.held_out_scores(folds, seed), cloud_share)
        super().__init__(recipe.trained(), threshold)


@dataclass(frozen=True)
class Recipe:
    """All that a trained scorer depends on, so that test cases that ask for the same one share it.

    Attributes:
        scorer: Name of the scorer.
        settings: Its settings as JSON.
        folder: Of the trace.
        label: What is learned.
    """

    scorer: str
    settings: str
    folder: str
    label: str

    @classmethod
    def of(cls, scorer: str, settings: Mapping[str, Any], folder: str, label: str, **common: int) -> Recipe:
        """The recipe of a scorer with some settings; complains of a wrong one before anything is trained.

        Args:
            scorer: Name of the scorer.
            settings: Its settings; the others keep their defaults.
            folder: Of the trace.
            label: What is learned.
            **common: Settings of the router (`seed`, `folds`) that the scorer takes over if it has them too.

        Raises:
            RouterError: If there is no such scorer or setting.
        """
        shared = {key: value for key, value in common.items() if key in make_scorer(scorer).settings()}
        made = make_scorer(scorer, **{**shared, **settings})
        return cls(scorer, json.dumps(made.settings(), sort_keys=True), folder, label)

    def trained(self) -> Scorer:
        """The scorer, trained on the whole trace."""
        return _trained(self)

    def held_out_scores(self, folds: int, seed: int) -> Floats:
        """Out-of-fold scores of the trace's queries, shape (n,)."""
        return _held_out_scores(self, folds, seed)

    def lesson(self) -> tuple[Scorer, list[Any], Target]:
        """An untrained scorer, what it is to look at and what it is to learn."""
        scorer, trace = make_scorer(self.scorer, **json.loads(self.settings)), _trace(self.folder)
        return scorer, trace.inputs(scorer.reads_answer), target_of(trace, self.label)


@lru_cache(maxsize=8)
def _trace(folder: str) -> Trace:
    return read_trace(folder)


@lru_cache(maxsize=8)
def _trained(recipe: Recipe) -> Scorer:
    scorer, inputs, target = recipe.lesson()
    return scorer.fit(inputs, target)


@lru_cache(maxsize=8)
def _held_out_scores(recipe: Recipe, folds: int, seed: int) -> Floats:
    scorer, inputs, target = recipe.lesson()
    return out_of_fold(scorer, inputs, target, folds, seed)


class SavedRouter(ScorerRouter):
    """A router from a folder that `ianvs router train` and `calibrate` wrote.

    Args:
        folder: The router's folder.
        threshold: Instead of the calibrated one.

    Raises:
        RouterError: If the folder is missing, damaged or of another version, or holds no threshold and none is given.
    """

    def __init__(self, folder: str, threshold: float | None = None) -> None:
        stored = load_router(folder)
        chosen = stored.threshold if threshold is None else threshold
        if chosen is None:
            raise RouterError(
                f"the router in {folder} has no threshold yet; type: ianvs router calibrate {folder} --trace FOLDER "
                "--cloud-share 0.4"
            )
        super().__init__(stored.scorer, chosen)


class SubjectPriorRouter(TrainedRouter):
    """By how much the cloud was better in the query's subject."""

    scorer_name = "subject-prior"


class LengthRouter(TrainedRouter):
    """By the length of the prompt."""

    scorer_name = "length"


class TfidfRouter(TrainedRouter):
    """By words and letters of the question: TF-IDF and logistic regression."""

    scorer_name = "tfidf"


class TfidfSubjectRouter(TrainedRouter):
    """By words and letters of the question, whose meaning for the cloud may differ from subject to subject."""

    scorer_name = "tfidf-subject"


class EmbeddingRouter(TrainedRouter):
    """By a sentence embedding and logistic regression."""

    scorer_name = "embedding-lr"


class NeighbourRouter(TrainedRouter):
    """By the nearest training questions in the space of sentence embeddings."""

    scorer_name = "embedding-knn"


class BoostingRouter(TrainedRouter):
    """By a sentence embedding and gradient boosting."""

    scorer_name = "embedding-gb"


class EnsembleRouter(TrainedRouter):
    """By the mean rank that several scorers give a query."""

    scorer_name = "rank-ensemble"


class FeatureRouter(TrainedRouter):
    """By what kind of question it is: numbers, negations, statements, lengths."""

    scorer_name = "question-features"


class EncoderRouter(TrainedRouter):
    """By an encoder fine-tuned on the trace."""

    scorer_name = "encoder"


class CausalLmRouter(TrainedRouter):
    """By a causal language model with low-rank adapters, trained on the trace."""

    scorer_name = "causal-lm"


class LearnedCascadeRouter(TrainedRouter):
    """By features of the edge's answer (mode `inference-then-mining`)."""

    scorer_name = "learned-cascade"
