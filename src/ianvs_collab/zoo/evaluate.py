"""Measure a nano model: greedy answers by plain `generate()`, graded by the option's text, with Wilson intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from ianvs_collab.grading import extract
from ianvs_collab.statistics import wilson
from ianvs_collab.zoo.model import EXIT_CONFIG, ExitHeads, cut_at
from ianvs_collab.zoo.question import Question

EXTRACTOR = "option-text"
LONGEST_ANSWER = 48  # tokens; the longest completion of the generator has 36


@dataclass(frozen=True, slots=True)
class Score:
    """How many of how many were right, and how sure that is."""

    right: int
    total: int

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Wilson (1927), which stays inside 0 to 1 for small samples."""
        return wilson(self.right, self.total)


def load_model(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """Load a checkpoint for the CPU, in float32."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


@torch.inference_mode()
def complete(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], batch_size: int = 128
) -> list[str]:
    """Return the greedy completion of each prompt; prompts of similar length share a batch."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    completions = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        inputs = tokenizer([prompts[index] for index in chosen], padding=True, return_tensors="pt")
        output = model.generate(  # type: ignore[misc]
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=LONGEST_ANSWER,
            do_sample=False,
        )
        texts = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for index, text in zip(chosen, texts, strict=True):
            completions[index] = text
    return completions


def grade(questions: Sequence[Question], completions: Sequence[str]) -> list[bool]:
    """Say for each completion whether it names the right option and no other."""
    return [
        extract(EXTRACTOR, completion, question.choices).letter == question.answer
        for question, completion in zip(questions, completions, strict=True)
    ]


def answer(folder: Path, questions: Sequence[Question]) -> list[bool]:
    """Let the checkpoint in a folder answer questions and return which answers are right."""
    model, tokenizer = load_model(folder)
    return grade(questions, complete(model, tokenizer, [question.prompt for question in questions]))


def answer_at_exits(folder: Path, questions: Sequence[Question]) -> dict[int, list[bool]]:
    """Let the checkpoint answer from each of its exits alone; nothing where it has none."""
    if not (folder / EXIT_CONFIG).exists():
        return {}
    model, tokenizer = load_model(folder)
    exits, prompts = ExitHeads.load(folder), [question.prompt for question in questions]
    return {
        layer: grade(questions, complete(cut_at(model, exits, layer), tokenizer, prompts)) for layer in exits.layers
    }


def scores(questions: Sequence[Question], right: Sequence[bool], group: Callable[[Question], str]) -> dict[str, Score]:
    """Count right answers by group, in the order in which groups first appear."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for question, correct in zip(questions, right, strict=True):
        counts[group(question)][0] += correct
        counts[group(question)][1] += 1
    return {name: Score(*count) for name, count in counts.items()}
