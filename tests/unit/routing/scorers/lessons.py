"""Queries to learn from, and an encoder small enough to be made in a test."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from ianvs_collab.inference import Answer, Query
from ianvs_collab.routing.target import Target

WORTH = np.array([-1.0, 0.0, 1.0])
_TEMPLATES = {
    "arithmetic": "What is {a} + {b}?\nA. {a}\nB. {b}",
    "geography": "What is the capital of country {a}? It has {b} towns.\nA. x\nB. y",
    "logic": "If {a} implies {b}, is it NOT the case that {b}?\nA. True\nB. False",
}


def lesson(count: int = 90, seed: int = 0) -> tuple[list[Query], Target]:
    """Queries of three subjects; sums mostly gain, capitals mostly stay the same, and logic mostly loses."""
    rng = np.random.default_rng(seed)
    queries, classes = [], []
    for index in range(count):
        subject = list(_TEMPLATES)[index % 3]
        a, b = rng.integers(1, 30, 2)
        queries.append(ask(_TEMPLATES[subject].format(a=a, b=b), subject))
        classes.append((2, 1, 0)[index % 3] if rng.random() < 0.8 else int(rng.integers(3)))
    return queries, Target("delta", np.eye(3)[classes], WORTH)


def ask(text: str, subject: str = "") -> Query:
    return Query(query_id=text, query=text, subject=subject, shots=0)


def answered(query: Query) -> Answer:
    """An edge's answer to a query; it is sure of capitals, and less so the longer the question's numbers are."""
    digits = sum(letter.isdigit() for letter in query["query"])
    sure = -0.1 if "capital" in query["query"] else -0.5 - 0.1 * digits
    content = {"completion": f"It is {digits}.", "answer": "A", "outcome": "ok", "logprobs": [-0.01, sure, 2 * sure]}
    return Answer(content, query)


def soft(target: Target, weight: float = 0.3, seed: int = 0) -> Target:
    """The same label, less sure of itself."""
    noise = np.random.default_rng(seed).dirichlet(np.ones(target.classes), len(target.probabilities))
    return Target(target.name, (1 - weight) * target.probabilities + weight * noise, target.values)


def tiny_encoder(folder: Path, seed: int = 0, width: int = 32) -> Path:
    """A BERT that reads letters and was never trained."""
    vocabulary = {token: n for n, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *string.printable])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", model_max_length=96
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder
