"""Variants by name, pruning, and the whole command on real nano models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ianvs_collab.cli import model as model_command
from ianvs_collab.modelserver import load_model
from ianvs_collab.modelserver.backends.hf_loading import load_checkpoint
from ianvs_collab.precision import PrecisionError, read_portfolio
from ianvs_collab.precision.profile import VARIANTS, prepare_variants, prune_layers, pruning, zoo_items
from ianvs_collab.precision.profile.pruning import block_influence, layer_count

PROMPTS = ["What is 2 + 2?\nA. 3\nB. 4\nAnswer:", "Which is a bird?\nA. trout\nB. robin\nAnswer:"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("IANVS_COLLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_names_become_what_a_worker_loads(own_cache: Path) -> None:
    pytest.importorskip("llama_cpp")
    made, left_out = prepare_variants("zoo:edge", ["float32", "int4", "q8_0", "pruned-1"], PROMPTS, threads=1)
    assert not left_out
    by_name = {each.name: each for each in made}
    assert by_name["int4"].model == "zoo:edge"
    assert by_name["int4"].options == {"precision": "int4", "threads": 1}
    assert by_name["q8_0"].backend == "llamacpp"
    assert Path(by_name["q8_0"].model).is_file()
    assert Path(by_name["pruned-1"].model).parent == own_cache / "pruned"
    again, _ = prepare_variants("zoo:edge", ["pruned-1", "pruned"], PROMPTS)
    assert again[0].model == again[1].model == by_name["pruned-1"].model
    assert again[0].options == {"precision": "float32"}


def test_what_cannot_be_made_is_told_and_the_rest_is_made() -> None:
    made, left_out = prepare_variants("zoo:edge", ["pruned-2", "float32"], PROMPTS)
    assert [each.name for each in made] == ["float32"]
    assert "has 2 layers, so 2 of them cannot be taken out; take 1 to 1" in left_out["pruned-2"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["int5"], "no variant 'int5'; did you mean 'int"),
        (["a poem"], "no variant 'a poem'. Known are"),
        (["int8", "int8"], "each variant once"),
        ([], "not none"),
    ],
)
def test_names_that_mean_nothing(names: list[str], message: str) -> None:
    with pytest.raises(PrecisionError, match=message):
        prepare_variants("zoo:edge", names, PROMPTS)


def test_the_least_influential_layers_go_and_the_rest_stays_as_it_was(tmp_path: Path) -> None:
    pruned = prune_layers("zoo:cloud", 8, PROMPTS, tmp_path / "small")
    assert len(pruned.influence) == 12
    assert len(pruned.removed) == 8
    kept = [layer for layer in range(12) if layer not in pruned.removed]
    assert min(pruned.influence[layer] for layer in kept) >= max(pruned.influence[layer] for layer in pruned.removed)
    whole = load_checkpoint("zoo:cloud", dtype="float32", device="cpu", revision=None, attention=None).model
    weights = load_file(tmp_path / "small" / "model.safetensors")
    for place, layer in enumerate(kept):
        name = "self_attn.q_proj.weight"
        expected = whole.get_parameter(f"model.layers.{layer}.{name}")
        assert torch.equal(weights[f"model.layers.{place}.{name}"], expected)
    server = load_model("transformers", str(tmp_path / "small"))
    assert server.info.parameters is not None
    assert server.info.parameters < whole.num_parameters()
    assert server.generate(PROMPTS[0]).text
    assert layer_count(str(tmp_path / "small")) == 4


def test_influence_is_one_less_the_cosine_of_input_and_output() -> None:
    class Turn(torch.nn.Module):
        def __init__(self, angle: float) -> None:
            super().__init__()
            cos, sin = float(torch.cos(torch.tensor(angle))), float(torch.sin(torch.tensor(angle)))
            self.matrix = torch.tensor([[cos, -sin], [sin, cos]])

        def forward(self, values: torch.Tensor) -> Any:
            return 3 * values @ self.matrix

    class Tuple(Turn):
        def forward(self, values: torch.Tensor) -> Any:
            return (super().forward(values), None)

    first, second = Turn(torch.pi / 3), Tuple(torch.pi)

    def model(input_ids: torch.Tensor, use_cache: bool) -> Any:
        assert not use_cache
        return second(first(torch.ones(1, input_ids.shape[1], 2)))

    texts = [torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 1, dtype=torch.long)]
    assert block_influence(model, [first, second], texts) == pytest.approx([0.5, 2.0], abs=1e-6)
    assert not first._forward_hooks
    with pytest.raises(PrecisionError, match="none is given"):
        block_influence(model, [first], [])


def test_a_pruned_checkpoint_replaces_the_one_before(tmp_path: Path) -> None:
    for _ in range(2):
        prune_layers("zoo:edge", 1, PROMPTS, tmp_path / "small")
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "cache"] == ["small"]


def test_other_architectures_are_refused() -> None:
    class Config:
        model_type = "gpt2"

    class Model:
        config = Config()

    with pytest.raises(PrecisionError, match=r"'m' \(gpt2\) does not keep its layers"):
        pruning._layers("m", Model())


def test_layers_of_nothing_are_not_counted(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nonsense"}))
    with pytest.raises(PrecisionError, match="does not say how many layers"):
        layer_count(str(tmp_path))


def test_a_hub_model_is_kept_under_its_name(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    made: list[tuple[str, int, Path]] = []
    monkeypatch.setattr("ianvs_collab.precision.profile.variants.resolve_model", lambda name: name)
    monkeypatch.setattr(pruning, "prune_layers", lambda *given: made.append((given[0], given[1], given[3])))
    prepare_variants("owner/name", ["pruned-3"], PROMPTS)
    assert made[0][:2] == ("owner/name", 3)
    assert made[0][2].name.startswith("owner--name-")


def test_the_command_measures_real_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llama_cpp")
    deployment = tmp_path / "house.yaml"
    deployment.write_text("edge: {slowdown: 4.0, power_w: 6}\n")
    out = tmp_path / "p.json"
    asked = ["profile", "zoo:edge", "--variants", "float32,q4_0,pruned-9", "--limit", "34", "--out", str(out)]
    assert model_command.main([*asked, "--deployment", str(deployment), "--edge", "q4_0", "--threads", "1"]) == 0
    portfolio = read_portfolio(out)
    assert portfolio.origin == "measured"
    assert [str(pair) for pair in portfolio.pairs] == ["q4_0 on edge", "float32 on cloud", "q4_0 on cloud"]
    slow, exact, fast = portfolio.pairs
    assert slow.mean_seconds == pytest.approx(4 * fast.mean_seconds, rel=1e-4)
    assert exact.correct == sum(
        item.letter(answer.text, "option-text") == item.answer
        for item, answer in ((item, ask(item.messages)) for item in zoo_items(34))
    )
    assert (exact.answered, slow.energy_source, exact.energy_source in ("unavailable", "measured")) == (
        34,
        "modelled",
        True,
    )
    assert fast.peak_rss_bytes is not None
    assert exact.peak_rss_bytes is not None
    assert fast.peak_rss_bytes < exact.peak_rss_bytes < 2**30
    assert fast.weight_bytes is not None
    assert exact.weight_bytes is not None
    assert fast.weight_bytes < exact.weight_bytes
    left_out = portfolio.provenance["left_out"]
    assert isinstance(left_out, dict)
    assert "2 layers" in str(left_out["pruned-9"])
    told = capsys.readouterr()
    assert "| q4_0 on edge |" in told.out
    assert "Left out: pruned-9: model 'zoo:edge' has 2 layers" in told.out
    assert "3 pairs of 2 variants" in told.out
    assert "q4_0: loaded in" in told.err


def ask(messages: Any) -> Any:
    server = _reference.setdefault("edge", None) or load_model("transformers", "zoo:edge")
    _reference["edge"] = server
    return server.generate(messages)


_reference: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variants", "int5"], "no variant 'int5'"),
        (["--deployment", "nowhere.yaml"], "nowhere.yaml"),
        (["--limit", "0"], "cannot be asked"),
        (["--data", "nowhere/"], "no such file"),
        (["--extractor", "guess"], "no answer extractor 'guess'"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "p.json"
    assert model_command.main(["profile", "zoo:edge", "--out", str(out), "--limit", "4", *arguments]) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.endswith("no portfolio was written\n")
    assert not out.exists()


def test_a_target_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ianvs_collab.precision.profile import command

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command, "_profile", full)
    assert command.main(["zoo:edge", "--out", str(tmp_path / "p.json")]) == 1
    assert "cannot be written (No space left on device); free space or choose another --out" in capsys.readouterr().err


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        model_command.main(["profile", "--help"])
    assert ended.value.code == 0
    assert ",".join(VARIANTS) in capsys.readouterr().out.replace("\n", "").replace(" ", "")
    with pytest.raises(SystemExit) as ended:
        model_command.main(["profile"])
    assert ended.value.code == 2
