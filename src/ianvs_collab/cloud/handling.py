"""Who answers which message. A new message is one file: its class, the class of its reply, and its handler.

@handles(Verify)
async def verify(call: Call, request: Verify) -> Verified:
    text = call.texts.get(request.branch)
    return Verified(await call.compute(accept, text.session, request.draft))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from ianvs_collab.cloud.errors import CloudError, Refusal

if TYPE_CHECKING:
    from ianvs_collab.cloud.server.call import Call

Handler = Callable[["Call", Any], Awaitable[Any]]
H = TypeVar("H", bound=Callable[..., Awaitable[Any]])

SHIPPED = tuple(f"ianvs_collab.cloud.messages.{name}" for name in ("admin", "steps", "texts", "generation", "scoring"))
_handlers: dict[type[Any], Handler] = {}
_chained: set[type[Any]] = set()


def handles(request: type[Any], *, chained: bool = False) -> Callable[[H], H]:
    """Decorator: answer messages of a class by a coroutine function `(call, request) -> reply`.

    The function may also send replies ahead of the last one, by `call.send`.

    Args:
        request: The class.
        chained: Whether the work on a message may begin while another one of the kind, which came before it on the
            stream, is being answered. Replies keep the order of the messages.

    Raises:
        ValueError: If another function answers them already.
    """

    def register(handler: H) -> H:
        other = _handlers.get(request)
        if other is not None and other.__qualname__ != handler.__qualname__:
            raise ValueError(f"{request.__name__} is answered by {other.__qualname__} already")
        _handlers[request] = handler
        if chained:
            _chained.add(request)
        return handler

    return register


def handler_of(request: Any) -> Handler:
    """The function that answers a message.

    Raises:
        Refusal: If there is none; it is a reply, say.
    """
    handler = _handlers.get(type(request))
    if handler is None:
        raise Refusal("request", f"the worker answers no {type(request).__name__}; it is sent by the worker only")
    return handler


def is_chained(request: Any) -> bool:
    """Whether a message need not wait until those of its kind before it are answered."""
    return type(request) in _chained


def load_messages(extensions: tuple[str, ...] = ()) -> None:
    """Import the modules of the shipped messages and of further ones.

    Raises:
        CloudError: If one cannot be imported.
    """
    for name in SHIPPED + extensions:
        try:
            import_module(name)
        except ImportError as error:
            raise CloudError(f"the messages of {name!r} cannot be had: {error}") from error
