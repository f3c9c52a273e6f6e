"""Variants by name: from `int4` or `q5_0` or `pruned-9` to something that a worker can load."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from ianvs_collab.modelserver import ModelServerError, fingerprint, resolve_model
from ianvs_collab.modelserver.backends.llamacpp.precisions import PRECISIONS as LLAMACPP
from ianvs_collab.precision.portfolio import PrecisionError
from ianvs_collab.precision.variant import Variant

TRANSFORMERS = ("float32", "bfloat16", "float16", "int8", "int8-dynamic", "int4")
"""Precisions of the back-end `transformers`; `ianvs_collab.modelserver.precision` says what they are."""

VARIANTS = ("float32", "bfloat16", "int8", "int4", "q8_0", "q5_0", "q4_0", "pruned")
"""What is profiled if nothing else is said."""

_PRUNED = re.compile(r"pruned(?:-(\d+))?")


def prepare_variants(
    model: str, names: Sequence[str], prompts: Sequence[str], threads: int | None = None
) -> tuple[list[Variant], dict[str, str]]:
    """Make what the variants of a model need beforehand: GGUF files, pruned checkpoints.

    Args:
        model: `zoo:cloud`, a folder, or a hub name.
        names: Variants: a precision of transformers or of llama.cpp (`q8_0`, ...), `pruned` (a quarter of the layers
            taken out) or `pruned-N` (N of them).
        prompts: Texts on which a pruned variant finds out which layers matter.
        threads: Threads for one operation; None for what each back-end does on its own.

    Returns:
        The variants that can be tried, and by name the reason why one cannot.

    Raises:
        PrecisionError: If a name is unknown or there twice, or there is none.
    """
    for name in names:
        _check(name)
    if len(set(names)) != len(names) or not names:
        raise PrecisionError(f"name each variant once, and at least one, not {', '.join(names) or 'none'}")
    common = {} if threads is None else {"threads": threads}
    made, left_out = [], {}
    for name in names:
        try:
            made.append(_make(model, name, prompts, common))
        except (ModelServerError, PrecisionError, OSError) as error:
            left_out[name] = str(error)
    return made, left_out


def _check(name: str) -> None:
    if name in TRANSFORMERS or name in LLAMACPP or _PRUNED.fullmatch(name):
        return
    known = [*TRANSFORMERS, *LLAMACPP, "pruned", "pruned-N"]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise PrecisionError(f"there is no variant {name!r}{hint} Known are {', '.join(known)}")


def _make(model: str, name: str, prompts: Sequence[str], common: dict[str, int]) -> Variant:
    if found := _PRUNED.fullmatch(name):
        folder = pruned_checkpoint(model, int(found[1]) if found[1] else None, prompts)
        return Variant(name, "transformers", str(folder), {"precision": "float32", **common})
    if name in TRANSFORMERS:
        return Variant(name, "transformers", model, {"precision": name, **common})
    from ianvs_collab.modelserver.backends.llamacpp.files import gguf_file  # noqa: PLC0415 - an optional extra

    return Variant(name, "llamacpp", str(gguf_file(model, name)), common)


def pruned_checkpoint(model: str, count: int | None, prompts: Sequence[str]) -> Path:
    """A pruned checkpoint of a model, made once and kept in the cache.

    Args:
        model: `zoo:cloud`, a folder, or a hub name.
        count: Layers to take out; None for a quarter of them, at least one.
        prompts: Texts on which influence is measured.

    Raises:
        ModelServerError: If the model cannot be loaded.
        PrecisionError: If it cannot be pruned so far.
        OSError: If the cache cannot be written.
    """
    from ianvs_collab.modelserver.embedding_store import cache_folder  # noqa: PLC0415 - seconds
    from ianvs_collab.precision.profile.pruning import layer_count, prune_layers  # noqa: PLC0415 - loads transformers

    place = resolve_model(model)
    taken = max(layer_count(place) // 4, 1) if count is None else count
    texts = hashlib.sha256("\0".join([*prompts]).encode()).hexdigest()[:16]
    identity = fingerprint(place).removeprefix("sha256:")[:32] if Path(place).is_dir() else place.replace("/", "--")
    folder = cache_folder() / "pruned" / f"{identity}-{texts}-{taken}"
    if not (folder / "config.json").is_file():
        prune_layers(model, taken, prompts, folder)
    return folder
