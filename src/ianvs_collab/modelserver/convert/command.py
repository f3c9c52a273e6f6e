"""`ianvs model convert`: make GGUF files of a checkpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ianvs_collab.modelserver.backends.llamacpp.precisions import PRECISIONS
from ianvs_collab.modelserver.types import ModelServerError


def main(argv: Sequence[str]) -> int:
    """Run `ianvs model convert <argv>`.

    Args:
        argv: What stands behind `ianvs model convert` on the command line, e.g. `["zoo:edge", "--quant", "q8_0"]`.

    Returns:
        0 if the files were made, 1 if not (the reason stands on stderr).

    Raises:
        SystemExit: If the command line is wrong (status 2) or asks for help (0).
    """
    arguments = _parser().parse_args(list(argv))
    from ianvs_collab.modelserver.convert.gguf_file import convert_to_gguf  # noqa: PLC0415 - slow; `-h` answers at once

    try:
        files = convert_to_gguf(arguments.checkpoint, arguments.out, arguments.quant.split(","))
    except ModelServerError as error:
        print(f"{error}\nnothing was converted", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"{arguments.out}: cannot be written ({error.strerror}); free space or choose another --out",
            file=sys.stderr,
        )
        return 1
    for file in files:
        kinds = ", ".join(f"{count} {name.lower()}" for name, count in file.types.items())
        print(f"{file.path}: {file.nbytes:,} bytes, {file.bits:.2f} bits a parameter ({kinds})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ianvs model convert",
        description="Make GGUF files, which llama.cpp runs, of a Hugging Face checkpoint of the Llama family.",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="zoo:edge, zoo:cloud or a folder")
    parser.add_argument("--to", choices=["gguf"], default="gguf", help="form to convert to (default: gguf)")
    parser.add_argument(
        "--quant",
        default="f16",
        metavar="P[,P...]",
        help=f"precisions, a file each (default: f16): {', '.join(PRECISIONS)}",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("."), metavar="FOLDER", help="where the files go (default: here)"
    )
    return parser
