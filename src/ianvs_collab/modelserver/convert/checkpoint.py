"""A checkpoint as the conversion reads it: configuration, tokenizer, end tokens, and the weights one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from safetensors import SafetensorError, safe_open

from ianvs_collab.modelserver.locate import resolve_model
from ianvs_collab.modelserver.types import ModelServerError

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face checkpoint in a folder.

    Attributes:
        name: The model as the user gave it.
        folder: Where it lies.
        config: Its configuration.
        tokenizer: Its tokenizer.
        end_tokens: Ids that end a completion.
    """

    name: str
    folder: Path
    config: Any
    tokenizer: Any
    end_tokens: tuple[int, ...]

    def weights(self) -> Iterator[tuple[str, Any]]:
        """Name and tensor of every weight, in an order that is always the same; one is in memory at a time.

        Raises:
            ModelServerError: If the weights are missing or damaged.
        """
        for file in self._files():
            try:
                with safe_open(file, framework="pt") as stored:
                    for name in sorted(stored.keys()):
                        yield name, stored.get_tensor(name)
            except (OSError, SafetensorError) as error:
                raise ModelServerError(
                    f"the weights {file} cannot be read: {error}; copy the checkpoint again"
                ) from error

    def _files(self) -> list[Path]:
        if (self.folder / _WEIGHTS).is_file():
            return [self.folder / _WEIGHTS]
        index = self.folder / _INDEX
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError) as error:
            raise ModelServerError(
                f"{self.folder} holds neither {_WEIGHTS} nor a sound {_INDEX}, so its weights cannot be found"
            ) from error
        return [self.folder / name for name in sorted(names)]


def read_checkpoint(name: str) -> Checkpoint:
    """Read all but the weights.

    Args:
        name: `zoo:edge` or a folder.

    Raises:
        ModelServerError: If it is no checkpoint in a folder, or its files do not fit together.
    """
    folder = Path(resolve_model(name))
    if not folder.is_dir():
        raise ModelServerError(
            f"model {name!r} lies on a hub, and conversion fetches nothing; fetch it with `hf download {name} "
            "--local-dir FOLDER` and give the folder"
        )
    try:
        config = transformers.AutoConfig.from_pretrained(folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or ["nothing"])[0]
        raise ModelServerError(f"model {name!r} in {folder} cannot be read: {first}") from error
    return Checkpoint(name, folder, config, tokenizer, _end_tokens(folder, config, tokenizer))


def _end_tokens(folder: Path, config: Any, tokenizer: Any) -> tuple[int, ...]:
    """The ids that `generate` of transformers stops at, the tokenizer's own first."""
    source = config
    if (folder / "generation_config.json").is_file():
        source = transformers.GenerationConfig.from_pretrained(folder)
    ids = source.eos_token_id
    if ids is None:
        ids = tokenizer.eos_token_id
    if ids is None:
        raise ModelServerError(
            f"the checkpoint in {folder} has no end token, and llama.cpp would take one at random; name it as "
            "`eos_token_id` in generation_config.json"
        )
    listed = [ids] if isinstance(ids, int) else list(ids)
    return tuple(sorted(listed, key=lambda token: token != tokenizer.eos_token_id))
