"""Back-ends by name: shipped, registered by a program, offered by an installed package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ianvs_collab.modelserver import (
    GREEDY,
    Generation,
    ModelInfo,
    ModelServer,
    ModelServerError,
    Prompt,
    SamplingParams,
    backend_names,
    load_model,
    register_backend,
    registry,
)

PARROT_PACKAGE = """
def load(model, *, volume=1):
    return model, volume
"""


class Parrot:
    """A third party's model: says the prompt back."""

    def __init__(self, model: str, volume: int) -> None:
        self.info = ModelInfo(model=model, backend="parrot", extra={"volume": volume})

    def generate(self, prompt: Prompt, params: SamplingParams = GREEDY, *, query_id: str | None = None):
        return Generation(text=str(prompt), prompt_tokens=1, completion_tokens=1, token_times=(0.1,), duration=0.1)

    def generate_batch(self, prompts: Sequence[Prompt], params: SamplingParams = GREEDY):
        return [self.generate(prompt, params) for prompt in prompts]

    def close(self) -> None:
        pass


def load_parrot(model: str, *, volume: int = 1) -> Parrot:
    return Parrot(model, volume)


def load_broken(model: str) -> Parrot:
    import a_package_nobody_has.inner  # noqa: F401

    raise AssertionError


@pytest.fixture(autouse=True)
def clean_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


def test_a_third_party_registers_its_back_end_and_a_job_uses_it() -> None:
    register_backend("parrot")(load_parrot)
    server = load_model("parrot", "grey", volume=3)
    assert isinstance(server, ModelServer)
    assert server.generate("hello").text == "hello"
    assert server.info.extra == {"volume": 3}
    assert "parrot" in backend_names()


def test_registering_returns_the_function_and_may_be_repeated_for_it() -> None:
    assert register_backend("parrot")(load_parrot) is load_parrot
    register_backend("parrot")(load_parrot)


@pytest.mark.parametrize("name", ["parrot", "openai"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    register_backend("parrot")(load_parrot)
    with pytest.raises(ValueError, match=f"{name!r} exists already"):
        register_backend(name)(load_broken)


def test_an_installed_package_offers_its_back_end_by_entry_point(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "parrot_package.py").write_text(PARROT_PACKAGE)
    metadata = tmp_path / "parrot_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\ninstalled = parrot_package:load\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "installed" in backend_names()
    assert load_model("installed", "grey", volume=5) == ("grey", 5)


def test_an_unknown_back_end_gets_the_nearest_name() -> None:
    with pytest.raises(
        ModelServerError, match="did you mean 'transformers'.*Known back-ends: .*openai, replay, transformers, vllm"
    ):
        load_model("transfomers", "zoo:edge")
    with pytest.raises(ModelServerError, match=r"'zzzz'\. Known back-ends"):
        load_model("zzzz", "zoo:edge")


def test_an_unknown_option_gets_the_nearest_name() -> None:
    with pytest.raises(ModelServerError, match="no option 'dtpe'; did you mean 'dtype'"):
        load_model("transformers", "zoo:edge", dtpe="float32")
    register_backend("parrot")(load_parrot)
    with pytest.raises(ModelServerError, match=r"no option 'zzzz'\. It has: volume"):
        load_model("parrot", "grey", zzzz=1)


def test_a_back_end_with_free_options_gets_them_all() -> None:
    @register_backend("free")
    def load_free(model: str, **options: int) -> Parrot:
        return Parrot(model, options["anything"])

    assert load_model("free", "x", anything=7).info.extra == {"volume": 7}


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ModelServerError, match="'openai' needs the option 'base_url'"):
        load_model("openai", "some-model")


def test_a_missing_package_gets_the_pip_line_when_loading_and_when_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    register_backend("broken")(load_broken)
    with pytest.raises(ModelServerError, match="pip install a_package_nobody_has$"):
        load_model("broken", "x")
    monkeypatch.setitem(registry._SHIPPED, "absent", "another_missing_package.backend")
    with pytest.raises(ModelServerError, match="pip install another_missing_package$"):
        load_model("absent", "x")
