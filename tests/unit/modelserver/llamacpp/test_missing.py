"""What the llama.cpp back-end says where its packages are missing or broken; these need no llama.cpp."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ianvs_collab.modelserver import ModelServerError
from ianvs_collab.modelserver.backends.llamacpp import library, load
from ianvs_collab.modelserver.backends.llamacpp.precisions import check_precisions, precision_of
from ianvs_collab.modelserver.convert.gguf_file import convert_to_gguf


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No test finds the library that another one loaded, nor leaves a broken one."""
    library.llama.cache_clear()
    yield
    library.llama.cache_clear()


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    complaint = r"needs the Python package 'llama-cpp-python'.*pip install \"ianvs-collab\[llamacpp\]\""
    with pytest.raises(ModelServerError, match=complaint):
        load(str(file))
    with pytest.raises(ModelServerError, match=complaint):
        convert_to_gguf("zoo:edge", tmp_path, ["f16"])


def test_a_library_that_does_not_load_is_to_be_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "llama_cpp.py").write_text("raise RuntimeError('libllama.so: undefined symbol')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "llama_cpp", raising=False)
    with pytest.raises(ModelServerError, match="undefined symbol.*--force-reinstall.*llama-cpp-python"):
        library.llama()


def test_names_of_precisions() -> None:
    assert check_precisions(["Q8_0", "f16", "float16", " q8_0"]) == ["q8_0", "f16"]
    with pytest.raises(ModelServerError, match="no precision is given"):
        check_precisions([])
    with pytest.raises(ModelServerError, match="'zzz' is unknown. Known are: f32"):
        check_precisions(["zzz"])
    assert [precision_of(number) for number in ("0", "2", "999", None)] == ["float32", "q4_0", "llama_ftype 999", None]


def test_what_llama_cpp_says_is_kept_for_messages() -> None:
    library.forget()
    assert library.complaint() == "nothing"
    library._listen(2, b"chatter", None)
    library._listen(3, b"odd\n", None)
    assert library.complaint() == "odd"
    library._listen(4, b"broken", None)
    library._listen(4, b"broken", None)
    assert library.complaint() == "broken"
    library.forget()
