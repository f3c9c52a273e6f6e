"""Loads a Hugging Face checkpoint for text generation, and refuses what would run, but not as meant.

Refused are pickled weights, a checkpoint that lacks weights (transformers would fill them in at random), and models
that do not continue text. Code that comes with a checkpoint runs only if the user said so on the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from ianvs_collab.modelserver.locate import hub_advice, resolve_model
from ianvs_collab.modelserver.precision import quantise, quiet_torchao
from ianvs_collab.modelserver.types import ModelServerError

TRUST_VARIABLE = "IANVS_COLLAB_TRUST_REMOTE_CODE"
hf_logging: Any = transformers.utils.logging  # its functions carry no types
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_DTYPE_ALIASES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16"}


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with what was decided on the way.

    Attributes:
        model: Causal language model in evaluation mode, on its device.
        tokenizer: Its tokenizer.
        path: Folder, or hub name.
        remote_code: Whether code from the checkpoint was allowed to run.
        parameters: Number of parameters, before quantisation.
        precision: How the weights are kept: the name of their dtype or of the quantisation.
        made_by: What quantised them, or None.
    """

    model: Any
    tokenizer: Any
    path: str
    remote_code: bool
    parameters: int
    precision: str
    made_by: str | None


def load_checkpoint(
    name: str,
    *,
    dtype: str,
    device: str,
    revision: str | None,
    attention: str | None,
    quantisation: str | None = None,
) -> Checkpoint:
    """Load model and tokenizer.

    Args:
        name: Model locator, see `ianvs_collab.modelserver.locate.resolve_model`.
        dtype: `auto`, `float32`, `bfloat16` or `float16`.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        revision: Branch, tag or commit of a hub model.
        attention: Attention implementation of transformers, e.g. `sdpa` or `eager`; None for its default.
        quantisation: What to make of the weights, one of `precision.QUANTISED`; None to leave them.

    Raises:
        ModelServerError: If the checkpoint cannot be had or is not fit for generation.
    """
    place = _device(device)
    path = resolve_model(name)
    trust = os.environ.get(TRUST_VARIABLE) == "1"
    common = {"trust_remote_code": trust, "revision": revision}
    with quiet():
        try:
            config = transformers.AutoConfig.from_pretrained(path, **common)
            _check_kind(name, config)
            tokenizer = transformers.AutoTokenizer.from_pretrained(path, **common)
            loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
                path,
                config=config,
                dtype=_dtype(dtype, place, config),
                use_safetensors=True,
                output_loading_info=True,
                attn_implementation=attention,
                **common,
            )
        except ModelServerError:
            raise
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise ModelServerError(_explain(name, path, error)) from error
    model, report = loaded
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelServerError(
            f"model {name!r} lacks {len(missing)} of the weights that its configuration asks for (first: "
            f"{missing[0]}); they would be random, so it is not loaded. Does config.json belong to these weights?"
        )
    model = model.to(place).eval()
    parameters, precision = model.num_parameters(), str(model.dtype).removeprefix("torch.")
    made_by = quantise(model, quantisation) if quantisation else None
    return Checkpoint(model, tokenizer, path, trust, parameters, quantisation or precision, made_by)


def end_tokens(checkpoint: Checkpoint) -> frozenset[int]:
    """Ids that end a completion: those of the generation configuration, else the tokenizer's."""
    generation = getattr(checkpoint.model, "generation_config", None)
    ids = getattr(generation, "eos_token_id", None)
    if ids is None:
        ids = checkpoint.tokenizer.eos_token_id
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def context_length(model: Any) -> int | None:
    """Tokens that prompt and completion may have together, or None if the configuration does not say."""
    length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def _dtype(name: str, device: torch.device, config: Any) -> torch.dtype:
    name = _DTYPE_ALIASES.get(name, name)
    if name in _DTYPES:
        return _DTYPES[name]
    if name != "auto":
        raise ModelServerError(f"dtype {name!r} is unknown; known are auto, {', '.join(_DTYPES)}")
    # Half precision halves memory, but most CPUs have no arithmetic for it and run it many times slower.
    if device.type == "cpu":
        return torch.float32
    stored = config.get_text_config().dtype
    return stored if isinstance(stored, torch.dtype) else torch.float32


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelServerError(f"device {name!r} is unknown; give auto, cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ModelServerError(f"device {name!r} is not here: PyTorch sees {count} CUDA devices; give `device: cpu`")
    return device


def _check_kind(name: str, config: Any) -> None:
    if config.is_encoder_decoder:
        raise ModelServerError(
            f"model {name!r} ({config.model_type}) is an encoder-decoder; this back-end runs causal language "
            "models only"
        )
    if type(config) not in transformers.AutoModelForCausalLM._model_mapping and not hasattr(config, "auto_map"):
        raise ModelServerError(
            f"model {name!r} ({config.model_type}) does not generate text; give a causal language model"
        )


def _explain(name: str, path: str, error: Exception) -> str:
    """One message for whatever transformers, safetensors or the hub client threw."""
    text = str(error).strip()
    if TRUST_VARIABLE.lower() in text.lower() or "trust_remote_code" in text:
        return (
            f"model {name!r} needs code that comes with its checkpoint; if you trust it, run `ianvs "
            "--trust-remote-code -f ...`, which is recorded in the results"
        )
    if not os.path.isdir(path):
        return f"model {name!r} cannot be loaded: {hub_advice(name)}. The hub client said: {_first_line(text)}"
    return f"model {name!r} in {path} cannot be loaded, its files do not fit together: {_first_line(text)}"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "nothing"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and load reports off the terminal; what matters in them is checked here."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        with quiet_torchao():
            yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
