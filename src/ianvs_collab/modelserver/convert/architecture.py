"""What llama.cpp must know of a model's form: sizes, rotary embedding, names of the weights.

Llama and its relatives differ little: Mistral is a Llama; Qwen2 adds biases, Qwen3 normalises queries and keys. In a
Llama, llama.cpp rotates neighbouring pairs of numbers, transformers the first half of a head against the second; so a
Llama's query and key rows are put in llama.cpp's order. For Qwen it rotates halves too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from ianvs_collab.modelserver.backends.llamacpp.library import optional
from ianvs_collab.modelserver.types import ModelServerError


@dataclass(frozen=True)
class Kind:
    """A model type of transformers in llama.cpp's eyes.

    Attributes:
        name: llama.cpp's name of the architecture.
        pairs: Whether llama.cpp rotates neighbouring pairs.
        scaled: Whether it knows rotary frequencies of one's own.
    """

    name: str
    pairs: bool
    scaled: bool


KINDS = {
    "llama": Kind("llama", pairs=True, scaled=True),
    "mistral": Kind("llama", pairs=True, scaled=True),
    "qwen2": Kind("qwen2", pairs=False, scaled=False),
    "qwen3": Kind("qwen3", pairs=False, scaled=False),
}
"""Architecture by transformers' `model_type`."""

_STATIC_ROPES = ("linear", "llama3")  # scalings that are a factor for each frequency, whatever the text's length
_ROPE_FACTORS = "rope_freqs.weight"


def kind_of(name: str, config: Any) -> Kind:
    """The architecture of a model.

    Raises:
        ModelServerError: If llama.cpp would run it, but not as meant, or this conversion does not know it.
    """
    kind = KINDS.get(config.model_type)
    if kind is None:
        raise ModelServerError(
            f"model {name!r} is a {config.model_type!r}; this conversion knows the Llama family: {', '.join(KINDS)}. "
            "Convert it with llama.cpp's own convert_hf_to_gguf.py and give the file"
        )
    rope = config.rope_parameters.get("rope_type", "default")
    for fault, what in (
        (config.hidden_act not in ("silu", "swish"), f"hidden_act {config.hidden_act!r} (only silu)"),
        (getattr(config, "quantization_config", None) is not None, "weights that are quantised already"),
        (config.rope_parameters.get("partial_rotary_factor", 1.0) != 1.0, "a partial rotary embedding"),
        (rope != "default" and not (kind.scaled and rope in _STATIC_ROPES), f"rope_type {rope!r}"),
    ):
        if fault:
            raise ModelServerError(f"model {name!r} cannot be converted: config.json asks for {what}")
    return kind


def describe(writer: Any, config: Any) -> None:
    """Write the model's sizes into a GGUF file.

    Args:
        writer: A `gguf.GGUFWriter`.
        config: Configuration that `kind_of` has let through.
    """
    # Within the window, sliding attention is full attention; beyond it llama.cpp would see what the model must not.
    window = getattr(config, "sliding_window", None) or config.max_position_embeddings
    writer.add_context_length(min(config.max_position_embeddings, window))
    writer.add_vocab_size(config.vocab_size)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(_head_size(config))
    writer.add_value_length(_head_size(config))
    writer.add_rope_dimension_count(_head_size(config))
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def rope_factors(config: Any) -> dict[str, torch.Tensor]:
    """By what llama.cpp divides each rotary frequency, as a weight of the file; nothing for an unscaled embedding."""
    if config.rope_parameters.get("rope_type", "default") == "default":
        return {}
    scaled, _ = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]](config, torch.device("cpu"))
    steps = torch.arange(0, _head_size(config), 2, dtype=torch.float32) / _head_size(config)
    return {_ROPE_FACTORS: config.rope_parameters["rope_theta"] ** -steps / scaled}


class WeightNames:
    """Maps transformers' weights to llama.cpp's.

    Args:
        config: Configuration that `kind_of` has let through.
        kind: Its architecture.
    """

    def __init__(self, config: Any, kind: Kind) -> None:
        gguf = optional("gguf", "gguf")
        arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == kind.name)
        self._map = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
        self._config, self._kind = config, kind

    def translate(self, name: str) -> str | None:
        """llama.cpp's name of a weight; None for one that it does not want.

        Raises:
            ModelServerError: If the weight is none of this architecture.
        """
        if name.endswith("rotary_emb.inv_freq") or (name == "lm_head.weight" and self._config.tie_word_embeddings):
            return None
        found = self._map.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ModelServerError(
                f"the checkpoint holds a weight {name!r} that no {self._config.model_type} has; does config.json "
                "belong to these weights?"
            )
        return str(found)

    def arrange(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """A weight with its rows in llama.cpp's order.

        Args:
            name: transformers' name.
            weight: Shape (rows, ...).
        """
        if not self._kind.pairs or ".self_attn." not in name or ".q_proj." not in name and ".k_proj." not in name:
            return weight
        heads = self._config.num_attention_heads if ".q_proj." in name else self._config.num_key_value_heads
        split = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
        return split.transpose(1, 2).reshape(weight.shape)


def _head_size(config: Any) -> int:
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(size)
