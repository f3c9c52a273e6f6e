from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    BartModel,
)

from ianvs_collab.modelserver import ModelServerError, resolve_model
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.quality import BartScore, OptionLikelihood, bart_score, correctness

from .checkpoints import SPECIAL, write_tokenizer

WORDS = [*SPECIAL, "the", "cat", "sat", "dog", "ran"]
POSITIONS = 10
ANSWERS = ["the cat sat", "dog", "the dog ran the cat ran the dog"]
REFERENCES = ["the cat", "the dog ran", "cat"]


def config() -> BartConfig:
    sizes = {f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in SIZES.items()}
    return BartConfig(
        vocab_size=len(WORDS),
        d_model=16,
        max_position_embeddings=POSITIONS,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
        init_std=1.0,
        **sizes,
    )


SIZES = {"layers": 1, "attention_heads": 2, "ffn_dim": 16}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BART of a few thousand random weights, as an ordinary checkpoint folder."""
    folder = tmp_path_factory.mktemp("bart")
    write_tokenizer(folder, WORDS)
    torch.manual_seed(0)
    BartForConditionalGeneration(config()).save_pretrained(folder)
    return folder


@torch.inference_mode()
def by_hand(folder: Path, source: str, target: str, longest: int = POSITIONS) -> float:
    """Asks for one token after the other, as a reader of the formula would."""
    model = BartForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids, labels = (tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in (source, target))
    written, total = [model.config.decoder_start_token_id], 0.0
    for label in labels:
        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([written])).logits[0, -1]
        total += logits.log_softmax(-1)[label].item()
        written.append(label)
    return total / len(labels)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_bart_score_is_the_mean_log_probability_of_the_targets_tokens(checkpoint: Path, batch_size: int) -> None:
    scores = BartScore(str(checkpoint), batch_size=batch_size).score(ANSWERS, REFERENCES)
    assert scores == pytest.approx([by_hand(checkpoint, *pair) for pair in zip(ANSWERS, REFERENCES, strict=True)])


def test_directions_say_which_text_is_given(checkpoint: Path) -> None:
    pairs = list(zip(ANSWERS, REFERENCES, strict=True))
    recall = np.array([by_hand(checkpoint, answer, reference) for answer, reference in pairs])
    precision = np.array([by_hand(checkpoint, reference, answer) for answer, reference in pairs])
    for direction, expected in (("recall", recall), ("precision", precision), ("f", (recall + precision) / 2)):
        found = bart_score(str(checkpoint), ANSWERS, REFERENCES, direction=direction)
        assert found == pytest.approx(expected), direction


def test_texts_are_cut_by_tokens(checkpoint: Path) -> None:
    scorer = BartScore(str(checkpoint), direction="recall", max_tokens=4)
    assert scorer(["the cat sat dog dog"], ["the dog ran"]) == pytest.approx(scorer(["the cat ran"], ["the dog"]))
    assert BartScore(str(checkpoint)).max_tokens == POSITIONS
    long = " ".join(["cat"] * 50)
    assert math.isfinite(BartScore(str(checkpoint))([long], [long])[0])


def test_nothing_to_grade_is_graded_as_nothing(checkpoint: Path) -> None:
    assert BartScore(str(checkpoint))([], []).shape == (0,)


def test_graders_name_what_does_not_fit(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(RouterError, match="2 answers and 1 references do not belong together"):
        BartScore(str(checkpoint))(["a", "b"], ["a"])
    with pytest.raises(RouterError, match="direction must be 'precision', 'recall' or 'f', not 'back'"):
        BartScore(str(checkpoint), direction="back")  # type: ignore[arg-type]
    with pytest.raises(RouterError, match=r"'zoo:edge' cannot be read as a sequence-to-sequence model"):
        BartScore("zoo:edge")
    with pytest.raises(ModelServerError, match="neither a folder"):
        BartScore(str(tmp_path / "nowhere"))


def test_a_checkpoint_without_all_weights_does_not_grade(checkpoint: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    smaller = BartModel(config()).encoder
    smaller.save_pretrained(tmp_path)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    with pytest.raises(RouterError, match="weights"):
        BartScore(str(tmp_path))


def test_pickled_weights_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((checkpoint / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelServerError, match="pickled"):
        BartScore(str(tmp_path))


def test_correctness_compares_letters() -> None:
    assert correctness(["A", None, "B"], ["A", "A", "A"]).tolist() == [1, 0, 0]
    with pytest.raises(RouterError, match="1 answers and 2 gold"):
        correctness(["A"], ["A", "B"])


PROMPTS = ["What is 2 + 3?\nAnswer:", "What is the capital of France?\nA. Paris\nB. Rome\nAnswer:"]
CHOICES = [{"A": "5", "B": "17", "C": "600"}, {"A": "Paris", "B": "Rome is the capital"}]


@torch.inference_mode()
def option_by_hand(prompt: str, option: str) -> tuple[float, int]:
    folder = resolve_model("zoo:edge")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before = tokenizer(prompt)["input_ids"]
    written = tokenizer(" " + option, add_special_tokens=False)["input_ids"]
    total = 0.0
    for token in written:
        total += model(torch.tensor([before])).logits[0, -1].log_softmax(-1)[token].item()
        before = [*before, token]
    return total, len(written)


@pytest.mark.parametrize("length", ["mean", "sum"])
def test_option_likelihoods_are_a_softmax_over_the_options(length: str) -> None:
    found = OptionLikelihood("zoo:edge", length=length, batch_size=3).log_probabilities(PROMPTS, CHOICES)  # type: ignore[arg-type]
    for prompt, choices, given in zip(PROMPTS, CHOICES, found, strict=True):
        counted = {letter: option_by_hand(prompt, option) for letter, option in choices.items()}
        raw = {letter: total / (n if length == "mean" else 1) for letter, (total, n) in counted.items()}
        whole = math.log(sum(map(math.exp, raw.values())))
        assert given == pytest.approx({letter: value - whole for letter, value in raw.items()}, abs=1e-3)
        assert sum(map(math.exp, given.values())) == pytest.approx(1)


def test_quality_is_the_right_options_log_probability() -> None:
    scorer = OptionLikelihood("zoo:edge")
    found = scorer.log_probabilities(PROMPTS, CHOICES)
    assert scorer.quality(PROMPTS, CHOICES, ["B", "A"]) == pytest.approx([found[0]["B"], found[1]["A"]])
    assert scorer.quality([], [], []).shape == (0,)


def test_a_long_question_loses_its_beginning() -> None:
    scorer = OptionLikelihood("zoo:edge", max_tokens=12)
    (short,) = scorer.log_probabilities(["x " * 5 + PROMPTS[0]], CHOICES[:1])
    (long,) = scorer.log_probabilities(["y " * 40 + PROMPTS[0]], CHOICES[:1])
    assert long == pytest.approx(short, abs=1e-5)


@pytest.mark.parametrize(
    ("prompts", "choices", "gold", "message"),
    [
        (["q"], [{}], ["A"], "'A' is none of its options"),
        (["q", "r"], [{"A": "a"}], ["A", "B"], "2 prompts and 1 choices"),
        (["q"], [{"A": "a"}], ["A", "B"], "1 prompts and 2 gold"),
        (["q"], [{"A": "1 " * 600}], ["A"], "tokens; the model reads 512"),
    ],
)
def test_options_that_do_not_fit_are_named(prompts: list, choices: list, gold: list, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        OptionLikelihood("zoo:edge").quality(prompts, choices, gold)


def test_options_to_compare_and_a_way_to_are_needed() -> None:
    with pytest.raises(RouterError, match="question 1 has no options"):
        OptionLikelihood("zoo:edge").log_probabilities(PROMPTS, [CHOICES[0], {}])
    with pytest.raises(RouterError, match="length must be 'mean' or 'sum', not 'max'"):
        OptionLikelihood("zoo:edge", length="max")  # type: ignore[arg-type]
