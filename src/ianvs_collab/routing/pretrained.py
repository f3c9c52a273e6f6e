"""A router that was trained elsewhere: any sequence-classification checkpoint (RoBERTa, DeBERTa, ...) by its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ianvs_collab.routing.base import RouterError, threshold_for_share
from ianvs_collab.routing.scorers.classifier import load_classifier
from ianvs_collab.routing.scorers.encoder import WORTH, EncoderScorer
from ianvs_collab.routing.traces import read_trace
from ianvs_collab.routing.trained import ScorerRouter


class RobertaRouter(ScorerRouter):
    """Compares the expected worth of the cloud, by a sequence classifier's probabilities, with a threshold.

    Long questions are cut by tokens, to what the encoder can take, never by characters.

    Args:
        model: `zoo:router`, a checkpoint folder or a hub name.
        cloud_share: Share of queries that should go to the cloud; needs `calibration_data`.
        calibration_data: Folder of a trace (`trace.jsonl`) whose queries' scores set the threshold for `cloud_share`.
        threshold: Score from which on a query goes to the cloud, used when no share is asked for.
        worth: What sending a query of each class to the cloud is worth; without it what the checkpoint's configuration
            says under `worth`, or 0 and 1 if it has two classes, the second of which is "to the cloud".
        max_tokens: Tokens of a question that are read at most.
        batch_size: Queries a forward pass takes while calibrating.

    Raises:
        ModelServerError: If there is no such checkpoint.
        RouterError: If it is not known what the classes are worth, or a share is asked for without a trace.
    """

    def __init__(
        self,
        model: str = "zoo:router",
        *,
        cloud_share: float | None = None,
        calibration_data: str | None = None,
        threshold: float = 0.5,
        worth: Sequence[float] | None = None,
        max_tokens: int = 512,
        batch_size: int = 32,
    ) -> None:
        scorer = EncoderScorer(model=model, max_tokens=max_tokens, batch_size=batch_size)
        scorer.classifier_ = load_classifier(model, classes=None, max_tokens=max_tokens)
        scorer.worth_ = _worth(model, scorer.classifier_.model.config, worth)
        if cloud_share is not None:
            queries = read_trace(calibration_data).queries() if calibration_data else []
            threshold = threshold_for_share(scorer.scores(queries), cloud_share)
        super().__init__(scorer, threshold)
        scorer.classifier_.probabilities(["warm-up"], 1)


def _worth(model: str, config: object, given: Sequence[float] | None) -> np.ndarray:
    classes = int(getattr(config, "num_labels", 0))
    known = getattr(config, WORTH, [0.0, 1.0] if classes == 2 else None)  # noqa: PLR2004 - "stay" and "to the cloud"
    worth = known if given is None else given
    try:
        array = np.asarray(worth, dtype=float)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (classes,) or not np.isfinite(array).all():
        raise RouterError(
            f"model {model!r} has {classes} classes, and what each is worth must be as many numbers, not {worth!r}; "
            "give the miner e.g. `worth: {values: [[-1, 0, 1]]}`"
        )
    return array
