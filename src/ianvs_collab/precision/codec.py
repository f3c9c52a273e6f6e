"""Portfolios as JSON files, checked field by field when read, replaced as a whole when written."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from ianvs_collab.precision.portfolio import Portfolio, PrecisionError


def read_portfolio(path: str | Path) -> Portfolio:
    """Read a portfolio.

    Raises:
        PrecisionError: If the file cannot be read, is not JSON, or a field is missing, unknown or wrong.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PrecisionError(
            f"portfolio {str(path)!r}: {error.strerror or error}; name a file that is there"
        ) from error
    try:
        return Portfolio.model_validate_json(content, strict=True)
    except ValidationError as error:
        raise PrecisionError(f"portfolio {str(path)!r}: {_problems(error)}") from error


def write_portfolio(portfolio: Portfolio, path: str | Path) -> None:
    """Write a portfolio; a reader sees the old file or the new one, never half of it.

    Raises:
        OSError: If the folder is missing or cannot be written to.
    """
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(portfolio.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _problems(error: ValidationError) -> str:
    def one(loc: tuple[int | str, ...], message: str, kind: str) -> str:
        where = ".".join(map(str, loc))
        if kind == "extra_forbidden":
            message = "no such field; docs/reference/portfolio.md lists the fields there are"
        return f"{where}: {message}" if where else message

    return "; ".join(one(e["loc"], e["msg"].removeprefix("Value error, "), e["type"]) for e in error.errors())
