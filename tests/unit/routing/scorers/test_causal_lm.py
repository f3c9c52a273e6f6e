from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ianvs_collab.inference import Query
from ianvs_collab.modelserver import resolve_model
from ianvs_collab.routing import RouterError
from ianvs_collab.routing.scorer import make_scorer
from ianvs_collab.routing.scorers.causal_lm import ADAPTERS, CLASSES, CausalLmScorer
from ianvs_collab.routing.target import Target

VALUES = np.array([-1.0, 0.0, 1.0])


def ask(text: str) -> Query:
    return Query(query_id=text, query=text)


def lesson(count: int = 48) -> tuple[list[Query], Target]:
    """Sums gain, opposites lose, capitals stay the same."""
    kinds = np.arange(count) % 3
    forms = ("What is the opposite of {}?", "What is the capital of {}?", "What is {} + 12?")
    texts = [forms[kind].format(("hot", "Chile", "35")[kind] * (1 + index % 2)) for index, kind in enumerate(kinds)]
    return [ask(text) for text in texts], Target("delta", np.eye(3)[kinds], VALUES)


@pytest.fixture(scope="module")
def trained() -> CausalLmScorer:
    return CausalLmScorer(epochs=6, batch_size=8, rate=1e-2, seed=3).fit(*lesson())


def test_it_learns_the_worth_of_the_cloud(trained: CausalLmScorer) -> None:
    scores = trained.scores([ask(text) for text in ("What is the opposite of hot?", "What is 35 + 12?")])
    assert scores[0] < -0.4
    assert scores[1] > 0.4


def test_the_last_token_is_classified_whatever_stands_beside_it_in_a_batch(trained: CausalLmScorer) -> None:
    texts = ["What is 35 + 12?", "What is the capital of Chile, and what is the opposite of hot and cold?"]
    model, tokenizer = trained.classifier_.model, trained.classifier_.tokenizer
    with torch.inference_mode():
        logits = [model(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits[0] for text in texts]
    expected = [logit.double().softmax(-1).numpy() @ VALUES for logit in logits]
    assert trained.scores([ask(text) for text in texts]) == pytest.approx(expected, abs=1e-5)


def test_only_adapters_and_the_head_are_trained(trained: CausalLmScorer) -> None:
    own = load_file(Path(resolve_model("zoo:edge")) / "model.safetensors")
    now = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): tensor
        for name, tensor in trained.classifier_.model.state_dict().items()
    }
    assert len(own) > 10
    assert all(torch.equal(now[name], tensor.float()) for name, tensor in own.items())
    learned = [name for name, parameter in trained.classifier_.model.named_parameters() if parameter.requires_grad]
    assert all("lora_" in name or "score" in name for name in learned)
    assert {name.split(".")[-4] for name in learned if "lora_" in name} >= {"q_proj", "v_proj", "down_proj"}


def test_a_saved_scorer_scores_as_before(trained: CausalLmScorer, tmp_path: Path) -> None:
    trained.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {ADAPTERS, CLASSES, "adapter_config.json"}
    assert (tmp_path / ADAPTERS).stat().st_size < 200_000
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "zoo:edge"
    again = make_scorer("causal-lm", **json.loads(json.dumps(trained.settings())))
    again.restore(tmp_path)
    queries, _ = lesson(9)
    assert again.scores(queries) == pytest.approx(trained.scores(queries), abs=1e-6)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (ADAPTERS, None, f"holds no {ADAPTERS}"),
        (ADAPTERS, "torn", "damaged .*train the router again"),
        (CLASSES, None, f"holds no {CLASSES}"),
        (CLASSES, "[]", f"{CLASSES}: damaged"),
        ("adapter_config.json", "{", "damaged .*train the router again"),
    ],
)
def test_a_damaged_folder_is_refused(
    trained: CausalLmScorer, tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    trained.save(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(RouterError, match=message):
        CausalLmScorer().restore(tmp_path)


def test_adapters_in_pickle_form_are_not_looked_at(trained: CausalLmScorer, tmp_path: Path) -> None:
    trained.save(tmp_path)
    (tmp_path / ADAPTERS).rename(tmp_path / "adapter_model.bin")
    with pytest.raises(RouterError, match=f"holds no {ADAPTERS}"):
        CausalLmScorer().restore(tmp_path)


def test_the_same_seed_gives_the_same_scores() -> None:
    queries, target = lesson(12)
    first, second, other = (
        CausalLmScorer(epochs=1, seed=seed).fit(queries, target).scores(queries) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank must be a whole number from 1 up, not 0"),
        ({"dropout": 1.0}, "dropout must be a fraction from 0 to below 1, not 1.0"),
        ({"epochs": 0}, "epochs must be"),
    ],
)
def test_a_setting_out_of_its_range_is_named(settings: dict, message: str) -> None:
    with pytest.raises(RouterError, match=message):
        CausalLmScorer(**settings).fit(*lesson(6))


def test_without_peft_the_message_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    for attempt in (lambda: CausalLmScorer().fit(*lesson(6)), lambda: CausalLmScorer().restore(tmp_path)):
        with pytest.raises(RouterError, match=r'pip install "ianvs-collab\[lora\]"'):
            attempt()


def test_a_model_that_classifies_no_sequences_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(RouterError, match="cannot be read as a sequence classifier"):
        CausalLmScorer(model=str(tmp_path)).fit(*lesson(6))
