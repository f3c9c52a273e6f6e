"""Precisions by name: how the weights of a model are kept, and in what their products are taken.

| name | weights | products | by |
| --- | --- | --- | --- |
| `float32`, `bfloat16`, `float16` | as named | the same | transformers |
| `int8` | 8 bits, a scale for each output | inputs in bfloat16, sums in float32 | PyTorch's kernels |
| `int8-dynamic` | 8 bits, a scale for each output | inputs in 8 bits too, a scale for each token | PyTorch's kernels |
| `int4` | 4 bits, scale and zero for each 32 inputs | inputs in bfloat16, sums in float32 | torchao |

Quantised are the linear layers. Embeddings stay as they are, and so does the output layer, which most small models
share with the embedding. Attention and normalisation run in the precision of the option `dtype`.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers.pytorch_utils import Conv1D

from ianvs_collab.modelserver.quantised_layers import InBfloat16, Int8DynamicLinear, Int8Linear
from ianvs_collab.modelserver.types import ModelServerError

FLOATS = ("float32", "bfloat16", "float16")
QUANTISED = ("int8", "int8-dynamic", "int4")
_ON_CPU_ONLY = ("int8-dynamic", "int4")  # their kernels for GPUs take other shapes and layouts
_GROUP = 32  # inputs that share scale and zero in int4: the smallest group that the kernel knows, so the most exact


def choose_precision(precision: str | None, dtype: str) -> tuple[str, str | None]:
    """Split one word for the precision into what is loaded and what is made of it.

    Args:
        precision: A name of `FLOATS` or `QUANTISED`, or None for what `dtype` says.
        dtype: The option `dtype`; with a quantised precision, that of everything but the linear layers.

    Returns:
        The dtype to load, and the quantisation to apply or None.

    Raises:
        ModelServerError: If there is no such precision, or `precision` and `dtype` contradict one another.
    """
    if precision is None:
        return dtype, None
    if precision in QUANTISED:
        return dtype, precision
    if precision not in FLOATS:
        raise ModelServerError(f"precision {precision!r} is unknown; known are {', '.join((*FLOATS, *QUANTISED))}")
    if dtype not in ("auto", precision):
        raise ModelServerError(f"precision {precision!r} and dtype {dtype!r} contradict one another; give one of them")
    return precision, None


def quantise(model: Any, name: str) -> str:
    """Replace the linear layers of a model by quantised ones, in place.

    Args:
        model: A causal language model of transformers.
        name: One of `QUANTISED`.

    Returns:
        By what they were made, for the record.

    Raises:
        ModelServerError: If the model is on a GPU and this precision runs on CPUs only, torchao is needed and missing,
            or the model has no linear layer that can be quantised.
    """
    if name in _ON_CPU_ONLY and model.device.type != "cpu":
        raise ModelServerError(
            f"precision {name!r} runs on CPUs only, and the model is on {model.device}; give `device: cpu`, or "
            "`precision: int8`"
        )
    make, made_by = _maker(name)
    head, count = model.get_output_embeddings(), 0
    for path, layer in list(model.named_modules()):
        if isinstance(layer, torch.nn.Linear | Conv1D) and layer is not head:
            quantised = make(_as_linear(layer))
            if quantised is not None:
                model.set_submodule(path, quantised)
                count += 1
    if not count:
        raise ModelServerError(
            f"precision {name!r} found no linear layer that it can quantise in a {type(model).__name__}; use a "
            f"floating precision: {', '.join(FLOATS)}"
        )
    return f"{made_by}, {count} layers"


def _maker(name: str) -> tuple[Callable[[torch.nn.Linear], torch.nn.Module | None], str]:
    """What turns a linear layer into a quantised one (None: it cannot), and by whose kernels."""
    if name == "int4":
        return _int4_maker(), f"torchao {importlib.metadata.version('torchao')}"
    kind = Int8Linear if name == "int8" else Int8DynamicLinear

    def make(layer: torch.nn.Linear) -> torch.nn.Module | None:
        # With one input there is nothing to save, and PyTorch's product of int8 matrices is wrong.
        return kind(layer.weight, layer.bias) if layer.in_features > 1 else None

    return make, f"torch {torch.__version__}"


def _int4_maker() -> Callable[[torch.nn.Linear], torch.nn.Module | None]:
    try:
        with quiet_torchao():
            int4 = import_module("torchao.prototype.quantization.int4")
            quantization = import_module("torchao.quantization")
    except ModuleNotFoundError as error:
        raise ModelServerError(
            "precision 'int4' needs torchao 0.18; type: pip install \"ianvs-collab[quantization]\""
        ) from error
    config = int4.PrototypeInt4WeightOnlyConfig(group_size=_GROUP, set_inductor_config=False)

    def make(layer: torch.nn.Linear) -> torch.nn.Module | None:
        layer = layer.to(torch.bfloat16)
        quantization.quantize_(layer, config)
        return InBfloat16(layer) if is_traceable_wrapper_subclass(layer.weight) else None

    return make


def _as_linear(layer: Any) -> torch.nn.Linear:
    """A linear layer with its own weights; GPT-2's `Conv1D` is one that keeps its weights as (inputs, outputs)."""
    weight = layer.weight.t() if isinstance(layer, Conv1D) else layer.weight
    outputs, inputs = weight.shape
    linear = torch.nn.Linear(inputs, outputs, bias=layer.bias is not None, device="meta", dtype=weight.dtype)
    linear.weight = torch.nn.Parameter(weight.detach().contiguous(), requires_grad=False)
    if layer.bias is not None:
        linear.bias = torch.nn.Parameter(layer.bias.detach(), requires_grad=False)
    return linear


@contextmanager
def quiet_torchao() -> Iterator[None]:
    """Keep to ourselves what torchao logs about its GPU kernels when it is imported where there is no GPU.

    transformers imports it, where it is installed, with the first model.
    """
    loggers = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
