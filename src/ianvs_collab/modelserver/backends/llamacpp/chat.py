"""Chat templates: Jinja as transformers runs it, without loading transformers (and so PyTorch) beside llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ianvs_collab.modelserver.types import ModelServerError


class ChatTemplate:
    """A model's chat template.

    Args:
        model: Name of the model, for messages.
        source: The template in Jinja, or None if the model has none.
        values: Values for it, e.g. `bos_token` and what the user gave.

    Raises:
        ModelServerError: If it is not Jinja.
    """

    def __init__(self, model: str, source: str | None, values: Mapping[str, Any]) -> None:
        self._model = model
        self._values = values
        try:
            self._template = None if source is None else _environment().from_string(source)
        except TemplateError as error:
            raise ModelServerError(
                f"the chat template of model {model!r} is not Jinja as transformers knows it ({error}); give another "
                "one with the option chat_template"
            ) from error

    def __bool__(self) -> bool:
        """Whether there is a template."""
        return self._template is not None

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The text that a chat is to the model, up to where its answer begins.

        Raises:
            ModelServerError: If there is no template, or it refuses the chat.
        """
        if self._template is None:
            raise ModelServerError(
                f"model {self._model!r} has no chat template, so it cannot be given messages; send the prompt as text "
                "(`chat: false`) or give the option chat_template"
            )
        chat = [dict(message) for message in messages]
        try:
            return self._template.render(messages=chat, add_generation_prompt=True, **self._values)
        except TemplateError as error:
            raise ModelServerError(f"the chat template of model {self._model!r} refuses the chat: {error}") from error


def _environment() -> ImmutableSandboxedEnvironment:
    # A template is somebody else's program, so it runs in Jinja's sandbox.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json  # Jinja's own one escapes HTML
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
