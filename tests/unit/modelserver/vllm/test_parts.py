"""The parts of the vLLM back-end that need no vLLM: checkpoints, sizes, logs, memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from safetensors.torch import save_file

from ianvs_collab.modelserver.backends.vllm.checkpoint import is_plain, plain_checkpoint, stored_size, weight_files
from ianvs_collab.modelserver.backends.vllm.log import captured, root_cause
from ianvs_collab.modelserver.backends.vllm.memory import _peak, footprint, weight_bytes
from ianvs_collab.modelserver.backends.vllm.worker import WeighingWorker


def write(folder: Path, name: str, **tensors: torch.Tensor) -> None:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / name, metadata={"format": "pt"})


def test_only_the_model_s_own_weights_count(tmp_path: Path) -> None:
    write(tmp_path, "model.safetensors", a=torch.zeros(3, 5))
    assert is_plain(tmp_path)
    write(tmp_path, "exit_heads.safetensors", norms=torch.zeros(7))
    assert not is_plain(tmp_path)
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]
    assert stored_size(tmp_path) == (15, 60)
    (tmp_path / "config.json").write_text("{}", "utf-8")
    plain = plain_checkpoint(tmp_path, tmp_path / "links" / "plain")
    assert sorted(file.name for file in plain.iterdir()) == ["config.json", "links", "model.safetensors"]
    assert is_plain(plain)
    assert stored_size(plain) == (15, 60)


def test_an_index_says_which_weights_count(tmp_path: Path) -> None:
    write(tmp_path, "model-1.safetensors", a=torch.zeros(2, dtype=torch.bfloat16))
    write(tmp_path, "model-2.safetensors", b=torch.zeros(3, dtype=torch.int8), c=torch.tensor(1.0))
    write(tmp_path, "other.safetensors", d=torch.zeros(100))
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-2.safetensors"}}
    assert stored_size(tmp_path)[0] == 106
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    assert is_plain(tmp_path)  # vLLM reads the index itself
    assert stored_size(tmp_path) == (6, 4 + 3 + 4)


@given(st.dictionaries(st.text("abc", min_size=1), st.lists(st.integers(0, 4), max_size=3), min_size=1, max_size=4))
def test_sizes_are_those_of_the_tensors(tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, list[int]]) -> None:
    folder = tmp_path_factory.mktemp("sizes")
    tensors = {name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}
    write(folder, "model.safetensors", **tensors)
    numbers = sum(tensor.numel() for tensor in tensors.values())
    assert stored_size(folder) == (numbers, 2 * numbers)


def test_weights_have_the_size_of_their_precision_in_memory(tmp_path: Path) -> None:
    write(tmp_path, "model.safetensors", a=torch.zeros(10, dtype=torch.float16))
    assert weight_bytes(tmp_path, "float32", None, False) == 40
    assert weight_bytes(tmp_path, "bfloat16", None, False) == 20
    assert weight_bytes(tmp_path, "float16", "awq", True) == 20
    assert weight_bytes(tmp_path, "float16", "fp8", False) is None


def test_a_model_without_a_cache_has_none_per_token() -> None:
    found = footprint(SimpleNamespace(collective_rpc=lambda _: [0.0]), 5, set(), 1.5)
    assert found is not None
    assert (found.weight_bytes, found.kv_bytes_per_token, found.load_s) == (5, None, 1.5)
    assert footprint(None, None, set(), 1.5) is None


def test_the_memory_of_started_processes_counts() -> None:
    engine = SimpleNamespace(collective_rpc=lambda _: [1.0])
    alone = footprint(engine, 1, set(), 0.0)
    code = "block = b'x' * 80_000_000; print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        beside, without = footprint(engine, 1, set(), 0.0), footprint(engine, 1, {process.pid}, 0.0)
        assert _peak(process.pid) > 80_000_000
        process.communicate(b"\n")
    assert alone is not None
    assert beside is not None
    assert without is not None
    assert beside.peak_rss_bytes - without.peak_rss_bytes > 80_000_000
    assert _peak(process.pid) == 0


def test_a_worker_tells_the_cache_of_a_token_from_its_pages() -> None:
    worker = WeighingWorker()
    pages = {f"layer {number}": SimpleNamespace(page_size_bytes=4096, block_size=16) for number in range(3)}
    worker.get_kv_cache_spec = lambda: pages
    assert worker.ianvs_kv_bytes_per_token() == 768.0


def test_what_is_printed_inside_goes_into_the_file_and_only_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    with captured(log):
        subprocess.run([sys.executable, "-c", "import sys; print('one'); print('two', file=sys.stderr)"], check=True)
    with pytest.raises(ZeroDivisionError), captured(log):
        subprocess.run([sys.executable, "-c", "print('three')"], check=True)
        _ = 1 / 0
    subprocess.run([sys.executable, "-c", "print('after')"], check=True)
    assert sorted(log.read_text("utf-8").split()) == ["one", "three", "two"]
    assert capfd.readouterr().out == "after\n"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory.\n", "OutOfMemoryError: CUDA out of memory."),
        ("Exception: WorkerProc initialization failed ...\nEngineDeadError: EngineCore encountered an issue.\n", None),
        ("INFO Error: no\nhello\n", None),
        ("RuntimeError: first\nValueError: second\n", "RuntimeError: first"),
        ("", None),
    ],
)
def test_the_first_cause_of_its_own_is_found(tmp_path: Path, text: str, cause: str | None) -> None:
    (tmp_path / "log").write_text(text, "utf-8")
    assert root_cause(tmp_path / "log") == cause
    assert root_cause(tmp_path / "none") is None


def test_the_script_sets_the_pytorch_that_the_project_asks_for(repository: Path) -> None:
    script = repository / "scripts" / "setup-vllm-cpu"
    subprocess.run(["bash", "-n", script], check=True)
    (version,) = re.findall(r"^TORCH=(\S+)$", script.read_text("utf-8"), re.M)
    dependencies = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    (wanted,) = [Requirement(line) for line in dependencies if Requirement(line).name == "torch"]
    assert version in wanted.specifier
