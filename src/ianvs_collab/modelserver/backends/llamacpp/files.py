"""From the name of a model to a GGUF file: one that is there, or one made of a checkpoint once and kept."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ianvs_collab.modelserver.backends.llamacpp.precisions import check_precisions
from ianvs_collab.modelserver.embedding_store import CACHE_VARIABLE, cache_folder
from ianvs_collab.modelserver.locate import fingerprint, resolve_model
from ianvs_collab.modelserver.types import ModelServerError

_DEFAULT = "f16"


def gguf_file(model: str, precision: str | None) -> Path:
    """The GGUF file of a model.

    Args:
        model: A `*.gguf` file, or a checkpoint: `zoo:edge` or a folder, which is converted once and kept.
        precision: What to make of a checkpoint, e.g. `q8_0`; None for `f16`. A file has the one it has.

    Raises:
        ModelServerError: If there is no such model, it cannot be converted, or a precision is given for a file.
    """
    path = Path(model).expanduser()
    if path.suffix == ".gguf" or path.is_file():
        if precision is not None:
            raise ModelServerError(
                f"model {model!r} is a file, whose precision is fixed; leave `precision` out, or give the checkpoint "
                "that the file was made of"
            )
        return path
    (wanted,) = check_precisions([precision or _DEFAULT])
    checkpoint = resolve_model(model)
    if not Path(checkpoint).is_dir():
        raise ModelServerError(
            f"model {model!r} lies on a hub, and this back-end fetches nothing; fetch it with `hf download {model} "
            "--local-dir FOLDER` and give the folder, or give a *.gguf file"
        )
    return _converted(Path(checkpoint), wanted)


def _converted(checkpoint: Path, precision: str) -> Path:
    from ianvs_collab.modelserver.convert.gguf_file import FORMAT, convert_to_gguf  # noqa: PLC0415 - loads transformers

    name = fingerprint(checkpoint).removeprefix("sha256:")[:32]
    kept = cache_folder() / "gguf" / f"{name}-{FORMAT}-{precision}.gguf"
    if kept.is_file():
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".making-") as scratch:
            (made,) = convert_to_gguf(str(checkpoint), Path(scratch), [precision])
            shutil.move(made.path, kept)  # within one file system, so a reader sees all of it or nothing
    except OSError as error:
        raise ModelServerError(
            f"the GGUF file of {checkpoint} cannot be kept in {kept.parent} ({error.strerror}); name a folder that can "
            f"be written in {CACHE_VARIABLE}, or run `ianvs model convert` and give the file"
        ) from error
    return kept
