from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
)

from ianvs_collab.inference import Query
from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.scorer import make_scorer
from ianvs_collab.routing.scorers import finetuning
from ianvs_collab.routing.scorers.encoder import EncoderScorer
from ianvs_collab.routing.scorers.finetuning import batches, class_weights, rate_factor
from ianvs_collab.routing.target import Target
from ianvs_collab.routing.tokens import by_length

from ..checkpoints import POSITIONS, SPECIAL, write_roberta, write_tokenizer

WORDS = [*SPECIAL, "sum", "city", "riddle", *"abcdefgh"]
VALUES = np.array([-1.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa of a few thousand random weights and two layers, as an ordinary checkpoint folder."""
    return write_checkpoint(tmp_path_factory.mktemp("roberta"))


def write_checkpoint(path: Path) -> Path:
    return write_roberta(path, WORDS, layers=2)


def ask(text: str) -> Query:
    return Query(query_id=text, query=text)


def lesson(count: int = 60) -> tuple[list[Query], Target]:
    """Sums gain, riddles lose, cities stay the same; letters of varying number say nothing."""
    rng = np.random.default_rng(1)
    kinds = np.arange(count) % 3
    texts = [
        f"{('riddle', 'city', 'sum')[kind]} {' '.join(rng.choice(list('abcdefgh'), 1 + i % 7))}"
        for i, kind in enumerate(kinds)
    ]
    return [ask(text) for text in texts], Target("delta", np.eye(3)[kinds], VALUES)


def encoder(folder: Path, **settings: object) -> EncoderScorer:
    return EncoderScorer(**{"model": str(folder), "epochs": 12, "batch_size": 8, "rate": 5e-3, **settings})


@pytest.fixture(scope="module")
def trained(folder: Path) -> EncoderScorer:
    return encoder(folder).fit(*lesson())


def test_it_learns_the_worth_of_the_cloud(trained: EncoderScorer) -> None:
    scores = trained.scores([ask("riddle d a"), ask("city b"), ask("sum c h e")])
    assert scores == pytest.approx([-1, 0, 1], abs=0.3)
    losses = [epoch.loss for epoch in trained.history_]
    assert losses[-1] < 0.3 * losses[0]


def test_the_score_is_the_expected_worth_under_the_predicted_classes(trained: EncoderScorer) -> None:
    model, tokenizer = trained.classifier_.model, trained.classifier_.tokenizer
    with torch.inference_mode():
        probabilities = model(**tokenizer("sum a b", return_tensors="pt")).logits.double().softmax(-1).numpy()
    assert trained.scores([ask("sum a b")]) == pytest.approx(probabilities @ VALUES)


def test_soft_labels_are_matched_not_rounded(folder: Path) -> None:
    queries, _ = lesson()
    gains = np.where(np.arange(len(queries)) % 2, 0.31, 0.29)
    target = Target("prob", np.column_stack([1 - gains, gains]), np.array([0.0, 1.0]))
    scores = encoder(folder, epochs=8).fit(queries, target).scores(queries)
    assert scores == pytest.approx(np.full(len(queries), 0.3), abs=0.06)


def test_batches_give_the_scores_of_single_queries_in_their_order(trained: EncoderScorer) -> None:
    queries, _ = lesson(20)
    assert trained.scores(queries) == pytest.approx([float(trained.scores([one])[0]) for one in queries], abs=1e-5)
    assert trained.scores([]).shape == (0,)


def test_the_same_seed_gives_the_same_scores_whatever_was_drawn_before(folder: Path) -> None:
    queries, target = lesson(30)
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = encoder(folder, epochs=2).fit(queries, target).scores(queries)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    assert np.array_equal(encoder(folder, epochs=2).fit(queries, target).scores(queries), first)
    assert not np.array_equal(encoder(folder, epochs=2, seed=1).fit(queries, target).scores(queries), first)


def test_a_saved_scorer_scores_as_before_and_is_an_ordinary_checkpoint(trained: EncoderScorer, tmp_path: Path) -> None:
    queries, _ = lesson(12)
    trained.save(tmp_path)
    again = make_scorer("encoder", **json.loads(json.dumps(trained.settings())))
    again.restore(tmp_path)
    assert again.scores(queries) == pytest.approx(trained.scores(queries), abs=1e-6)
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path).config.num_labels == 3
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_a_damaged_folder_is_refused(trained: EncoderScorer, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RouterError, match="holds no model.safetensors"):
        encoder(folder).restore(tmp_path)
    trained.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "worth": [1.0]}))
    with pytest.raises(RouterError, match="`worth` must hold a number for each class"):
        encoder(folder).restore(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(RouterError, match="cannot be read as a sequence classifier"):
        encoder(folder).restore(tmp_path)


def test_training_stops_early_and_keeps_the_best_epoch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[Callable[[], float]] = []
    measure = finetuning._Run.held_out_loss
    monkeypatch.setattr(
        finetuning._Run, "held_out_loss", lambda run: (measured.append(lambda: measure(run)), measure(run))[1]
    )
    queries, _ = lesson(40)
    noise = np.random.default_rng(0).integers(0, 3, 40)  # nothing to learn: the held-out loss can only rise
    target = Target("delta", np.eye(3)[noise], VALUES)
    fitted = encoder(folder, epochs=60, patience=2, validation=0.3, rate=1e-2).fit(queries, target)
    held_out = [epoch.held_out for epoch in fitted.history_]
    best = int(np.argmin(held_out))
    assert len(held_out) == best + 3 < 60
    assert measured[-1]() == pytest.approx(held_out[best])
    assert held_out[best] < held_out[-1]


def test_without_a_validation_split_every_epoch_counts(folder: Path) -> None:
    queries, target = lesson(12)
    history = encoder(folder, epochs=3, validation=0).fit(queries, target).history_
    assert [epoch.held_out for epoch in history] == [None, None, None]


def test_frozen_layers_stay_as_they_are(folder: Path) -> None:
    before = load_file(folder / "model.safetensors")
    after = encoder(folder, epochs=1, frozen_layers=1).fit(*lesson(24)).classifier_.model.state_dict()
    changed = {
        name
        for name in before
        if before[name].shape == after[name].shape and not torch.equal(before[name], after[name])
    }
    assert any(".layer.1." in name for name in changed)
    assert not any("embeddings" in name or ".layer.0." in name for name in changed)


def test_more_layers_than_there_are_cannot_be_frozen(folder: Path) -> None:
    with pytest.raises(RouterError, match="between 0 and the encoder's 2 layers, not at 3"):
        encoder(folder, frozen_layers=3).fit(*lesson(12))


def test_a_scorer_from_scratch_takes_the_architecture_alone(folder: Path, tmp_path: Path) -> None:
    other = write_checkpoint(tmp_path)
    weights = load_file(other / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, other / "model.safetensors", {"format": "pt"})
    scores = [
        encoder(one, from_scratch=True, epochs=1).fit(*lesson(12)).scores([ask("sum a")])[0] for one in (folder, other)
    ]
    assert scores[0] == scores[1]
    kept = [encoder(one, epochs=1).fit(*lesson(12)).scores([ask("sum a")])[0] for one in (folder, other)]
    assert kept[0] != kept[1]


def test_long_questions_are_cut_by_tokens_to_what_fits(trained: EncoderScorer, folder: Path) -> None:
    fits = "sum " + " ".join("a" * (POSITIONS - 2 - 3))
    assert trained.scores([ask(fits + " city city city")]) == pytest.approx(trained.scores([ask(fits)]))
    short = encoder(folder, max_tokens=4, epochs=1).fit(*lesson(12))
    assert short.scores([ask("sum a b c d")]) == pytest.approx(short.scores([ask("sum a")]))
    assert short.scores([ask("sum a")]) != pytest.approx(short.scores([ask("city a")]))


def test_only_the_question_is_read_of_a_few_shot_prompt(trained: EncoderScorer) -> None:
    shown = Query(query_id="q", query="riddle a b\n\nsum c", shots=1)
    assert trained.scores([shown]) == pytest.approx(trained.scores([ask("sum c")]))


def test_a_checkpoint_without_a_head_gets_one(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, WORDS)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    scores = encoder(tmp_path).fit(*lesson()).scores([ask("riddle a"), ask("sum b")])
    assert scores[0] < scores[1]


def test_the_nano_router_can_be_tuned_further() -> None:
    queries, target = lesson(24)
    fitted = EncoderScorer(epochs=1).fit(queries, target)
    assert fitted.scores(queries).shape == (24,)
    assert np.abs(fitted.scores(queries)).max() <= 1


def test_lost_weights_of_the_body_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in weights if ".layer.1." in name)
    save_file(
        {name: tensor for name, tensor in weights.items() if name != lost},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(RouterError, match=r"lacks 1 of the weights .*layer\.1"):
        encoder(tmp_path).fit(*lesson(12))


def test_checkpoints_that_cannot_be_used_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelServerError, match="neither a folder"):
        encoder(tmp_path / "nowhere").fit(*lesson(12))
    write_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(RouterError, match="cannot be read as a sequence classifier"):
        encoder(tmp_path).fit(*lesson(12))
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    write_tokenizer(tmp_path, WORDS, cls_token="<s>")
    with pytest.raises(RouterError, match="neither a padding nor an end-of-text token"):
        encoder(tmp_path).fit(*lesson(12))


def test_a_tokenizer_without_padding_pads_with_the_end_of_text(tmp_path: Path) -> None:
    write_checkpoint(tmp_path)
    write_tokenizer(tmp_path, WORDS, eos_token="</s>")
    fitted = encoder(tmp_path).fit(*lesson())
    alone, beside = fitted.scores([ask("sum a")]), fitted.scores([ask("sum a"), ask("riddle " + "b " * 9)])
    assert beside[0] == pytest.approx(alone[0], abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1 up, not 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"patience": 0}, "patience must be a whole number"),
        ({"warm_up": 1}, "warm_up must be a fraction from 0 to below 1, not 1"),
        ({"validation": -0.1}, "validation must be a fraction"),
        ({"rate": float("nan")}, "rate must be a number from 0 up, not nan"),
        ({"weight_decay": -1}, "weight_decay must be a number from 0 up"),
    ],
)
def test_a_setting_out_of_its_range_is_named(folder: Path, settings: dict, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        encoder(folder, **settings).fit(*lesson(12))


def test_class_weights_make_a_rare_class_count_as_much() -> None:
    labels = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]])
    weights = class_weights(labels)
    assert weights.tolist() == pytest.approx([4 / (2 * 3), 4 / (2 * 1), 0])
    assert (labels.sum(0) * weights)[:2].tolist() == pytest.approx([2, 2])


def test_class_weights_raise_the_scores_of_a_rare_gain(folder: Path) -> None:
    queries = [ask(f"city {letter}") for letter in "abcdefgh" * 5]
    gains = (np.arange(40) % 8 == 0).astype(float)
    target = Target(
        "gain", np.column_stack([1 - gains, gains])[np.random.default_rng(0).permutation(40)], np.array([0.0, 1])
    )
    plain, weighted = (
        encoder(folder, epochs=2, class_weights=on).fit(queries, target).scores(queries).mean() for on in (False, True)
    )
    assert weighted > plain + 0.15


def test_the_rate_rises_over_the_warm_up_and_falls_to_nothing() -> None:
    factors = [rate_factor(step, 100, 0.1) for step in range(101)]
    assert np.argmax(factors) == 10
    assert factors[10] == pytest.approx(1)
    assert factors[100] == 0
    assert all(0 < factor <= 1 for factor in factors[:100])
    assert np.all(np.diff(factors[:11]) > 0)
    assert np.all(np.diff(factors[10:]) < 0)
    assert rate_factor(0, 100, 0) == 1


def test_an_epoch_sees_each_query_once_in_batches_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 203)
    made = list(batches(lengths, 10, np.random.default_rng(0)))
    assert sorted(np.concatenate(made).tolist()) == list(range(203))
    assert max(map(len, made)) == 10
    assert np.mean([np.ptp(lengths[batch]) for batch in made]) < 15
    assert sorted(index for batch in by_length(lengths.tolist(), 10) for index in batch) == list(range(203))


def test_a_small_model_runs_on_one_thread_and_leaves_the_others_as_they_were(
    trained: EncoderScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []
    logits = type(trained.classifier_).logits
    monkeypatch.setattr(
        type(trained.classifier_), "logits", lambda *given: (used.append(torch.get_num_threads()), logits(*given))[1]
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        trained.scores([ask("sum a")])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert used == [1]
