"""The target's own first layers as a draft model: self-speculation.

An early exit reads the hidden states after some layer through a norm and the shared output matrix: the exit head that
the checkpoint was trained with (LayerSkip: Elhoushi et al. 2024, arXiv:2404.16710), or else the final norm, which is
the "logit lens". The weights are shared with the target; the key-value cache is not.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ianvs_collab.modelserver import resolve_model
from ianvs_collab.modelserver.stepping import Stepper
from ianvs_collab.modelserver.stepping.stepper import CausalStepper
from ianvs_collab.speculative.errors import SpeculativeError

_HEADS, _WEIGHTS = "exit_heads.json", "exit_heads.safetensors"


def early_exit(target: Stepper, layers: int) -> CausalStepper:
    """A model that is the target's first layers, to be used as a draft model.

    Args:
        target: A model of transformers whose decoder has `layers` and a final `norm`, such as Llama and its relatives.
        layers: How many of its layers.

    Raises:
        SpeculativeError: If the target is no such model, or does not have more layers than that.
        ModelServerError: If the target is closed.
    """
    if not isinstance(target, CausalStepper):
        raise SpeculativeError("an early exit needs a target of `backend: transformers`, whose layers can be reached")
    with target.engine.at_work() as model:
        short = _cut(model, layers, target.engine.layers)
    weight = _trained_norm(target.engine.name, layers)
    if weight is not None:
        short.model.norm.weight = torch.nn.Parameter(weight.to(short.model.norm.weight), requires_grad=False)

    @contextmanager
    def at_work() -> Iterator[Any]:
        with target.engine.at_work():
            yield short

    name = f"{target.engine.name}, first {layers} layers"
    engine = dataclasses.replace(target.engine, name=name, at_work=at_work, config=short.config, layers=layers)
    return dataclasses.replace(target, engine=engine)


def _cut(model: Any, layers: int, available: int) -> Any:
    """A copy of the model that ends after some layers, and shares all weights but the norm's."""
    body: Any = getattr(model, "model", None)
    if not hasattr(body, "layers") or not hasattr(body, "norm"):
        raise SpeculativeError(
            f"{type(model).__name__} has no decoder with layers and a final norm to leave early from"
        )
    if not 1 <= layers < available:
        raise SpeculativeError(f"the target has {available} layers; an early exit is after 1 to {available - 1}")
    short, inner = _shallow(model), _shallow(body)
    inner.layers = torch.nn.ModuleList(list(body.layers)[:layers])
    inner.norm = copy.deepcopy(body.norm)
    short.model = inner
    short.config = inner.config = copy.deepcopy(model.config)
    short.config.num_hidden_layers = layers
    return short


def _shallow(module: Any) -> Any:
    """The same parameters in a module of its own."""
    other = copy.copy(module)
    other._modules = dict(module._modules)
    return other


def _trained_norm(name: str, layers: int) -> torch.Tensor | None:
    """Weight of the exit's norm, if the checkpoint has an exit there."""
    folder = Path(resolve_model(name))
    if not (folder / _HEADS).is_file():
        return None
    if layers not in json.loads((folder / _HEADS).read_text(encoding="utf-8"))["layers"]:
        return None
    weight: torch.Tensor = load_file(folder / _WEIGHTS)[f"norms.{layers}.weight"]
    return weight
