"""Checkpoints of a few thousand random weights, as ordinary folders: a tokenizer of whole words, and a RoBERTa."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForSequenceClassification

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
POSITIONS = 18  # RoBERTa starts to count after the padding index: 16 tokens fit


def write_tokenizer(folder: Path, words: Sequence[str], **tokens: str) -> None:
    """A tokenizer that knows these words, the first four being `SPECIAL`, and puts a text between `<s>` and `</s>`."""
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokens = tokens or {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **tokens).save_pretrained(folder)


def write_roberta(folder: Path, words: Sequence[str], *, layers: int, **settings: Any) -> Path:
    """A sequence classifier of two classes, with its tokenizer."""
    write_tokenizer(folder, words)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=POSITIONS,
        type_vocab_size=1,
        pad_token_id=1,
        num_labels=2,
        **settings,
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    return folder
