"""From a Hugging Face checkpoint to GGUF files at several precisions.

Float files are written here with the `gguf` library. Quantised ones are made by llama.cpp's own quantiser from a file
that holds the weights exactly as the checkpoint does, so nothing is rounded twice. Each file is checked before it
appears: llama.cpp must load it and tokenise as transformers does.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ianvs_collab.modelserver.backends.llamacpp.library import complaint, forget, llama, optional
from ianvs_collab.modelserver.backends.llamacpp.model import GgufModel
from ianvs_collab.modelserver.backends.llamacpp.precisions import FLOATS, PRECISIONS, check_precisions
from ianvs_collab.modelserver.convert.architecture import Kind, WeightNames, describe, kind_of, rope_factors
from ianvs_collab.modelserver.convert.checkpoint import Checkpoint, read_checkpoint
from ianvs_collab.modelserver.convert.vocabulary import (
    Vocabulary,
    check_vocabulary,
    read_vocabulary,
    write_vocabulary,
)
from ianvs_collab.modelserver.types import ModelServerError

FORMAT = 1
"""Raised whenever the conversion writes something else than before, so that files kept in a cache are made anew."""

_DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class GgufFile:
    """A file that was made.

    Attributes:
        path: Where it lies.
        precision: As asked for, e.g. `q8_0`.
        nbytes: Size of the file.
        weight_bytes: Bytes of the weights in it; the rest is mostly the vocabulary.
        parameters: Number of parameters.
        types: How many weights are kept how, e.g. `{"Q8_0": 15, "F32": 5}`.
    """

    path: Path
    precision: str
    nbytes: int
    weight_bytes: int
    parameters: int
    types: Mapping[str, int]

    @property
    def bits(self) -> float:
        """Bits for each parameter."""
        return 8 * self.weight_bytes / self.parameters


def convert_to_gguf(name: str, target: Path, precisions: Sequence[str]) -> list[GgufFile]:
    """Convert a checkpoint.

    Args:
        name: `zoo:edge` or a folder.
        target: Folder for the files, `NAME-PRECISION.gguf`; it is made if it is not there, and files are replaced.
        precisions: e.g. `["f16", "q8_0"]`; see `ianvs_collab.modelserver.backends.llamacpp.precisions`.

    Returns:
        The files, in the order of `precisions`.

    Raises:
        ModelServerError: If a precision is unknown, the model is of a kind that this conversion does not know, or
            llama.cpp cannot make a file.
        OSError: If the target cannot be written.
    """
    wanted = check_precisions(precisions)
    llama()  # so that a missing extra is told before the work
    checkpoint = read_checkpoint(name)
    kind, vocabulary = kind_of(name, checkpoint.config), read_vocabulary(checkpoint)
    target.mkdir(parents=True, exist_ok=True)
    stem = Path(name).name.removeprefix("zoo:")
    with tempfile.TemporaryDirectory(dir=target, prefix=".converting-") as scratch:
        exact = _exact(checkpoint)
        made: dict[str, Path] = {}
        for precision in dict.fromkeys([exact, *wanted]):
            path = made[precision] = Path(scratch) / f"{stem}-{precision}.gguf"
            if precision in FLOATS:
                _write(path, precision, checkpoint, kind, vocabulary)
            else:
                _quantise(made[exact], path, precision)
        _check(made[exact], checkpoint)
        files = [_describe(made[precision], precision, target) for precision in wanted]
        for file in files:
            os.replace(made[file.precision], file.path)
    return files


def _exact(checkpoint: Checkpoint) -> str:
    """The precision that holds every weight as the checkpoint does."""
    stored = {weight.dtype for _, weight in checkpoint.weights()}
    return next((name for name, dtype in _DTYPES.items() if stored == {dtype}), "f32")


def _write(path: Path, precision: str, checkpoint: Checkpoint, kind: Kind, vocabulary: Vocabulary) -> None:
    gguf = optional("gguf", "gguf")
    writer = gguf.GGUFWriter(path, kind.name)
    writer.add_name(Path(checkpoint.name).name)
    writer.add_file_type(PRECISIONS[precision])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    describe(writer, checkpoint.config)
    write_vocabulary(writer, vocabulary, checkpoint)
    names = WeightNames(checkpoint.config, kind)
    factors = rope_factors(checkpoint.config)
    try:
        for name, weight in factors.items():
            _announce(writer, gguf, name, weight, torch.float32)
        for name, weight in checkpoint.weights():
            if (translated := names.translate(name)) is not None:
                _announce(writer, gguf, translated, weight, _dtype(weight, precision))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for weight in factors.values():
            writer.write_tensor_data(weight.numpy())
        for name, weight in checkpoint.weights():
            if names.translate(name) is not None:
                arranged = names.arrange(name, weight).to(_dtype(weight, precision)).contiguous()
                writer.write_tensor_data(arranged.view(torch.uint8).numpy())
    finally:
        writer.close()


def _announce(writer: Any, gguf: Any, name: str, weight: torch.Tensor, dtype: torch.dtype) -> None:
    kind = {
        torch.float32: gguf.GGMLQuantizationType.F32,
        torch.float16: gguf.GGMLQuantizationType.F16,
        torch.bfloat16: gguf.GGMLQuantizationType.BF16,
    }[dtype]
    writer.add_tensor_info(name, weight.shape, None, weight.numel() * dtype.itemsize, raw_dtype=kind)


def _dtype(weight: torch.Tensor, precision: str) -> torch.dtype:
    """Vectors (norms, biases) stay in float32: they are small, and llama.cpp computes with them in float32."""
    return _DTYPES[precision] if weight.dim() > 1 else torch.float32


def _quantise(source: Path, path: Path, precision: str) -> None:
    api = llama()
    params = api.llama_model_quantize_default_params()
    params.ftype = PRECISIONS[precision]
    params.nthread = len(os.sched_getaffinity(0))
    forget()
    if api.llama_model_quantize(str(source).encode(), str(path).encode(), ctypes.byref(params)) != 0:
        raise ModelServerError(f"llama.cpp cannot quantise {source.name} to {precision}: {complaint()}")


def _check(path: Path, checkpoint: Checkpoint) -> None:
    model = GgufModel(path)
    try:
        check_vocabulary(model, checkpoint)
    finally:
        model.close()


def _describe(path: Path, precision: str, target: Path) -> GgufFile:
    tensors = optional("gguf", "gguf").GGUFReader(path).tensors
    return GgufFile(
        path=target / path.name,
        precision=precision,
        nbytes=path.stat().st_size,
        weight_bytes=sum(int(tensor.n_bytes) for tensor in tensors),
        parameters=sum(int(tensor.n_elements) for tensor in tensors),
        types=dict(Counter(tensor.tensor_type.name for tensor in tensors).most_common()),
    )
