"""A pruned variant: the layers that change least are taken out, and the rest is saved as an ordinary checkpoint.

Block influence: Men et al. 2024, "ShortGPT: Layers in Large Language Models are More Redundant Than You Expect"
(arXiv:2403.03853), equation 1: BI of layer i is 1 - E[cos(x_i, x_(i+1))], the mean over tokens of one less the cosine
of its input and its output. The layers with the lowest influence are removed together; nothing is trained again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.modelserver.backends.hf_loading import load_checkpoint, quiet
from ianvs_collab.precision.portfolio import PrecisionError


@dataclass(frozen=True)
class Pruned:
    """A pruned checkpoint.

    Attributes:
        folder: Where it lies.
        influence: Block influence of each layer of the original, in order.
        removed: Layers that were taken out, from 0, ascending.
    """

    folder: Path
    influence: tuple[float, ...]
    removed: tuple[int, ...]


def prune_layers(model: str, count: int, prompts: Sequence[str], folder: Path) -> Pruned:
    """Take the least influential layers out of a model.

    Args:
        model: `zoo:cloud`, a folder, or a hub name; its layers must be `model.layers`, as in the Llama family.
        count: How many layers to take out.
        prompts: Texts on which influence is measured, each sent as a chat of one message.
        folder: Where the checkpoint goes; it appears in one step, and one that is there is replaced.

    Raises:
        ModelServerError: If the model cannot be loaded.
        PrecisionError: If it has no such layers, or too few.
        OSError: If the folder cannot be written.
    """
    loaded = load_checkpoint(model, dtype="float32", device="cpu", revision=None, attention=None)
    layers = _layers(model, loaded.model)
    if not 0 < count < len(layers):
        raise PrecisionError(
            f"model {model!r} has {len(layers)} layers, so {count!r} of them cannot be taken out; take 1 to "
            f"{len(layers) - 1}"
        )
    influence = block_influence(loaded.model, layers, [_tokens(loaded.tokenizer, prompt) for prompt in prompts])
    removed = tuple(sorted(sorted(range(len(layers)), key=influence.__getitem__)[:count]))
    _remove(loaded.model, layers, removed)
    _save(loaded, folder)
    return Pruned(folder, tuple(influence), removed)


def layer_count(model: str) -> int:
    """Number of layers that a checkpoint's configuration names.

    Raises:
        PrecisionError: If it names none, or cannot be read.
    """
    try:
        return int(transformers.AutoConfig.from_pretrained(model).num_hidden_layers)
    except (OSError, ValueError, AttributeError) as error:
        raise PrecisionError(f"model {model!r} does not say how many layers it has: {error}") from error


def block_influence(model: Any, layers: Sequence[torch.nn.Module], texts: Sequence[torch.Tensor]) -> list[float]:
    """Influence of each layer, 0 (changes no direction) to 2.

    Args:
        model: A causal language model of transformers.
        layers: Its decoder layers.
        texts: Token ids, shape (1, tokens) each.

    Raises:
        PrecisionError: If there is no text.
    """
    if not texts:
        raise PrecisionError("block influence is a mean over texts, and none is given")
    similarity, tokens = [0.0] * len(layers), sum(text.shape[1] for text in texts)

    def noter(index: int) -> Callable[..., None]:
        def note(_: torch.nn.Module, given: tuple[Any, ...], made: Any) -> None:
            after = made[0] if isinstance(made, tuple) else made
            similarity[index] += float(torch.cosine_similarity(given[0].double(), after.double(), dim=-1).sum())

        return note

    with _hooks(layers, noter), torch.inference_mode():
        for text in texts:
            model(input_ids=text, use_cache=False)
    return [1 - total / tokens for total in similarity]


@contextmanager
def _hooks(layers: Sequence[torch.nn.Module], noter: Callable[[int], Callable[..., None]]) -> Iterator[None]:
    handles = [layer.register_forward_hook(noter(index)) for index, layer in enumerate(layers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layers(name: str, model: Any) -> list[torch.nn.Module]:
    layers = getattr(getattr(model, "model", None), "layers", None)
    if not isinstance(layers, torch.nn.ModuleList) or not hasattr(model.config, "num_hidden_layers"):
        raise PrecisionError(
            f"model {name!r} ({model.config.model_type}) does not keep its layers in `model.layers`, so they cannot be "
            "pruned; leave the variant `pruned` out"
        )
    return list(layers)


def _tokens(tokenizer: Any, prompt: str) -> torch.Tensor:
    text = prompt
    if tokenizer.chat_template is not None:
        chat = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids: torch.Tensor = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    return ids


def _remove(model: Any, layers: Sequence[torch.nn.Module], removed: Sequence[int]) -> None:
    kept = [layer for index, layer in enumerate(layers) if index not in removed]
    model.model.layers = torch.nn.ModuleList(kept)
    model.config.num_hidden_layers = len(kept)
    kinds = getattr(model.config, "layer_types", None)
    if kinds:
        model.config.layer_types = [kind for index, kind in enumerate(kinds) if index not in removed]


def _save(loaded: Any, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pruning-") as scratch, quiet():
        made, old = Path(scratch) / "made", Path(scratch) / "old"
        loaded.model.save_pretrained(made)
        loaded.tokenizer.save_pretrained(made)
        if not any(made.glob("*.safetensors")):
            raise ModelServerError(f"nothing was saved in {made}")
        if folder.exists():
            os.replace(folder, old)
        os.replace(made, folder)
