"""Fine-tuning of a sequence classifier on soft labels.

The loss is the cross-entropy of the predicted classes with the label's distribution over them. AdamW with a linear
warm-up and decay, as in BERT (Devlin et al. 2019, appendix A.2); training stops early by the loss on a held-out split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from ianvs_collab.routing.base import RouterError
from ianvs_collab.routing.scorers.classifier import Classifier
from ianvs_collab.routing.tokens import Rows, by_length

_BUCKET = 50
"""Batches whose texts are sorted by length together: enough that little is padding, few enough that order is random."""

_LARGEST_GRADIENT = 1.0


@dataclass
class Recipe:
    """How to train.

    Attributes:
        epochs: Passes over the training queries, at most.
        batch_size: Queries a step takes.
        rate: Highest learning rate of AdamW.
        warm_up: Share of the steps over which the rate rises to it; over the others it falls to 0.
        weight_decay: AdamW's decay.
        validation: Share of the queries that is held out to stop early; 0 for none.
        patience: Epochs without a better held-out loss after which training stops; the best epoch's weights are kept.
        class_weights: Let each class count alike, however rare; scores are then no expected worths any more.
        seed: Of new weights, dropout, order and validation split.
    """

    epochs: int = 4
    batch_size: int = 32
    rate: float = 5e-5
    warm_up: float = 0.06
    weight_decay: float = 0.01
    validation: float = 0.1
    patience: int = 2
    class_weights: bool = False
    seed: int = 0

    def check(self) -> None:
        """See that every setting is in its range.

        Raises:
            RouterError: If one is not; the message names it.
        """
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise RouterError(f"{name} must be a whole number from 1 up, not {value!r}")
        for name in ("warm_up", "validation"):
            if not 0 <= getattr(self, name) < 1:
                raise RouterError(f"{name} must be a fraction from 0 to below 1, not {getattr(self, name)!r}")
        for name in ("rate", "weight_decay"):
            if not 0 <= getattr(self, name) < np.inf:
                raise RouterError(f"{name} must be a number from 0 up, not {getattr(self, name)!r}")


@dataclass(frozen=True)
class Epoch:
    """One pass over the training queries.

    Attributes:
        loss: Mean cross-entropy while training, in nats.
        held_out: Mean cross-entropy on the validation split after it, or None without one.
    """

    loss: float
    held_out: float | None


def fine_tune(classifier: Classifier, rows: Rows, labels: Tensor, recipe: Recipe, name: str = "model") -> list[Epoch]:
    """Train a classifier's parameters that require gradients; dropout draws from PyTorch's generator as it stands.

    Args:
        classifier: What to train; in evaluation mode afterwards.
        rows: Token ids of each text, none empty.
        labels: Class probabilities, shape (len(rows), k).
        recipe: How.
        name: For the progress bar.

    Returns:
        The losses of each epoch that was trained.
    """
    run = _Run(classifier, rows, labels.to(classifier.device), recipe)
    history: list[Epoch] = []
    best, best_state, worse = np.inf, None, 0
    bar = tqdm(total=run.steps, desc=f"fine-tune {name}", unit="step", leave=False, disable=None)
    with bar, classifier.threads():
        for _ in range(recipe.epochs):
            history.append(Epoch(run.epoch(bar), run.held_out_loss()))
            held_out = history[-1].held_out
            bar.set_postfix_str(
                f"loss {history[-1].loss:.3f} held out {held_out if held_out is None else f'{held_out:.3f}'}"
            )
            if held_out is None:
                continue
            worse = 0 if held_out < best else worse + 1
            if held_out < best:
                best, best_state = held_out, run.state()
            if worse >= recipe.patience:
                break
    if best_state is not None:
        classifier.model.load_state_dict(best_state, strict=False)
    return history


class _Run:
    """Order, optimizer and losses of one training run."""

    def __init__(self, classifier: Classifier, rows: Rows, labels: Tensor, recipe: Recipe) -> None:
        self.classifier, self.rows, self.labels, self.recipe = classifier, rows, labels, recipe
        self.rng = np.random.default_rng(recipe.seed)
        order = self.rng.permutation(len(rows))
        size = max(1, round(recipe.validation * len(rows))) if recipe.validation else 0
        self.held_out, self.training = order[:size], order[size:]
        self.steps = recipe.epochs * -(-len(self.training) // recipe.batch_size)
        self.weights = class_weights(self.labels[torch.from_numpy(self.training)]) if recipe.class_weights else None
        parameters = [parameter for parameter in classifier.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: rate_factor(step, self.steps, recipe.warm_up)
        )

    def epoch(self, bar: Any) -> float:
        """Pass over the training queries once; returns the mean loss."""
        model, total = self.classifier.model, 0.0
        model.train()
        lengths = np.array([len(self.rows[index]) for index in self.training])
        for batch in batches(lengths, self.recipe.batch_size, self.rng):
            loss = self._loss(self.training[batch])
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), _LARGEST_GRADIENT)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad(set_to_none=True)
            total += loss.item() * len(batch)
            bar.update()
        model.eval()
        return total / len(self.training)

    @torch.inference_mode()
    def held_out_loss(self) -> float | None:
        """Mean loss on the validation split, if there is one."""
        if not len(self.held_out):
            return None
        lengths = [len(self.rows[index]) for index in self.held_out]
        chosen = (self.held_out[batch] for batch in by_length(lengths, self.recipe.batch_size))
        return sum(self._loss(indices).item() * len(indices) for indices in chosen) / len(self.held_out)

    def state(self) -> dict[str, Tensor]:
        """A copy of what is trained."""
        named = self.classifier.model.named_parameters()
        return {name: parameter.detach().clone() for name, parameter in named if parameter.requires_grad}

    def _loss(self, chosen: NDArray[np.intp]) -> Tensor:
        logits = self.classifier.logits([self.rows[index] for index in chosen])
        return functional.cross_entropy(logits.float(), self.labels[torch.from_numpy(chosen)], weight=self.weights)


def batches(lengths: NDArray[np.int_], batch_size: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Indices of one epoch in batches of similar length, in random order."""
    order = rng.permutation(len(lengths))
    made: list[NDArray[np.intp]] = []
    for start in range(0, len(order), _BUCKET * batch_size):
        bucket = order[start : start + _BUCKET * batch_size]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        made += [bucket[begin : begin + batch_size] for begin in range(0, len(bucket), batch_size)]
    return (made[index] for index in rng.permutation(len(made)))


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """Share of the highest learning rate at a step: up to 1 over the warm-up, then down to 0 at the last step."""
    rising = warm_up * steps
    return (step + 1) / (rising + 1) if step < rising else (steps - step) / max(steps - rising, 1)


def class_weights(labels: Tensor) -> Tensor:
    """Weights that give all classes that occur the same share in the loss, shape (k,); 1 on average over the labels."""
    mass = labels.sum(dim=0)
    occurring = mass > 0
    return torch.where(occurring, mass.sum() / (occurring.sum() * mass.clamp(min=torch.finfo(mass.dtype).tiny)), 0.0)
