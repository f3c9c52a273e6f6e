"""Names of the precisions that a GGUF file may have, and llama.cpp's numbers for them.

A file's precision says how most of its matrices are kept. Vectors (norms, biases) are always float32, and llama.cpp
keeps some matrices finer: the output matrix, which is the embedding too where the two are tied, and matrices whose rows
do not divide into the blocks of the asked precision.

The numbers are `enum llama_ftype` of llama.h. Blocks hold 32 weights (`q8_0`, `q5_0`, `q4_0`, ...) or 256 (those with
`_k`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ianvs_collab.modelserver.types import ModelServerError

PRECISIONS = {
    "f32": 0,
    "f16": 1,
    "bf16": 32,
    "q8_0": 7,
    "q6_k": 18,
    "q5_0": 8,
    "q5_1": 9,
    "q5_k_s": 16,
    "q5_k_m": 17,
    "q4_0": 2,
    "q4_1": 3,
    "q4_k_s": 14,
    "q4_k_m": 15,
    "q3_k_s": 11,
    "q3_k_m": 12,
    "q3_k_l": 13,
    "q2_k": 10,
}
"""Precision by name; finest first."""

FLOATS = ("f32", "f16", "bf16")
"""Those that are no quantisation."""

_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def check_precisions(names: Iterable[str]) -> list[str]:
    """Names of precisions in lower case, each once; `float16` and the like are taken for `f16`.

    Raises:
        ModelServerError: If there is none, or one is unknown.
    """
    aliases = {dtype: name for name, dtype in _DTYPES.items()}
    wanted = [aliases.get(name.strip().lower(), name.strip().lower()) for name in names]
    for name in wanted:
        if name not in PRECISIONS:
            near = difflib.get_close_matches(name, PRECISIONS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ModelServerError(f"precision {name!r} is unknown{hint} Known are: {', '.join(PRECISIONS)}")
    if not wanted:
        raise ModelServerError(f"no precision is given; known are: {', '.join(PRECISIONS)}")
    return list(dict.fromkeys(wanted))


def precision_of(file_type: str | None) -> str | None:
    """Name that results use for a file's precision, e.g. `float16` or `q8_0`; None if the file does not tell.

    Args:
        file_type: The file's `general.file_type`, a number.
    """
    for name, number in PRECISIONS.items():
        if file_type == str(number):
            return _DTYPES.get(name, name)
    return None if file_type is None else f"llama_ftype {file_type}"
