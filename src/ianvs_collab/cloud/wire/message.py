"""Messages: frozen dataclasses whose fields say how they look as bytes, each class with a number of its own.

    @message(40)
    @dataclass(frozen=True)
    class Verify:
        branch: Annotated[int, UINT]
        draft: Annotated[tuple[int, ...], TOKEN_IDS]

Fields follow one another in the order of their declaration; nothing else is sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from ianvs_collab.cloud.errors import FrameError
from ianvs_collab.cloud.wire.bytestream import Reader
from ianvs_collab.cloud.wire.fields import Field

M = TypeVar("M")
MAX_KIND = 255
_classes: dict[int, type[Any]] = {}
_forms: dict[type[Any], tuple[int, tuple[tuple[str, Field], ...]]] = {}


def message(kind: int) -> Callable[[type[M]], type[M]]:
    """Decorator: make a frozen dataclass a message.

    Args:
        kind: Its number, 1 to 255; 1 to 31 are the worker's own.

    Raises:
        ValueError: If the number is taken or none, or a field has no form.
    """

    def register(cls: type[M]) -> type[M]:
        if not 1 <= kind <= MAX_KIND:
            raise ValueError(f"a message's number is from 1 to {MAX_KIND}, not {kind}")
        other = _classes.get(kind)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"message {kind} is {other.__module__}.{other.__qualname__}; give {cls.__name__} another")
        _forms[cls] = kind, tuple(_fields(cls))
        _classes[kind] = cls
        return cls

    return register


def encode(value: Any) -> tuple[int, bytes]:
    """Number and bytes of a message.

    Raises:
        FrameError: If a value has no form as bytes.
    """
    kind, fields = _forms[type(value)]
    out = bytearray()
    for name, form in fields:
        form.put(out, getattr(value, name))
    return kind, bytes(out)


def decode(kind: int, body: bytes | memoryview) -> Any:
    """The message of a number and bytes.

    Raises:
        FrameError: If there is no such message, or these are not its bytes.
    """
    cls = _classes.get(kind)
    if cls is None:
        raise FrameError(f"there is no message {kind}; do both sides run the same version and extensions?")
    reader = Reader(body)
    try:
        values = {name: form.take(reader) for name, form in _forms[cls][1]}
        reader.finish()
    except FrameError as error:
        raise FrameError(f"{cls.__name__}: {error}") from error
    return cls(**values)


def known() -> dict[int, str]:
    """Names of all messages by number."""
    return {kind: cls.__name__ for kind, cls in sorted(_classes.items())}


def _fields(cls: type[Any]) -> list[tuple[str, Field]]:
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for part in dataclasses.fields(cls):
        forms = [extra for extra in getattr(hints[part.name], "__metadata__", ()) if isinstance(extra, Field)]
        if len(forms) != 1:
            raise ValueError(
                f"{cls.__name__}.{part.name} does not say how it is sent; write Annotated[..., UINT] or so"
            )
        found.append((part.name, forms[0]))
    return found
