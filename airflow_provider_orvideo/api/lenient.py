"""Field types that read what they can of a server's answer: an odd optional field is absent, not the end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError, WrapValidator
from pydantic import ValidatorFunctionWrapHandler as Handler

from airflow_provider_orvideo.api.redaction import redact

log = logging.getLogger(__name__)


def _none_if_malformed(value: Any, handler: Handler) -> Any:  # noqa: ANN401 - whatever the server sent
    """Read an optional field as absent when it is not of its documented shape, rather than lose the whole answer."""
    try:
        return handler(value)
    except ValidationError as error:
        log.debug("Ignored a malformed field in an API answer: %s", redact(str(error.errors(include_input=False))))
        return None


def _strings_only(value: Any) -> Any:  # noqa: ANN401 - whatever the server sent
    """Keep the places of a list: one odd entry must hide neither the others nor that there is an output."""
    return [item if isinstance(item, str) else "" for item in value] if isinstance(value, list | tuple) else ()


def _error_text(value: Any) -> Any:  # noqa: ANN401 - whatever the server sent
    """Accept the documented plain string and the envelope's object alike."""
    if isinstance(value, Mapping):
        value = value.get("message", str(dict(value)))
    return None if value is None else redact(str(value))


Lenient = WrapValidator(_none_if_malformed)
Text = Annotated[str | None, Lenient]
Int = Annotated[int | None, Lenient]
Bool = Annotated[bool | None, Lenient]
Money = Annotated[Decimal | None, Lenient]
Texts = Annotated[tuple[str, ...] | None, Lenient]
Ints = Annotated[tuple[int, ...] | None, Lenient]
ErrorText = Annotated[str | None, BeforeValidator(_error_text)]
Strings = BeforeValidator(_strings_only)
#: A status that is no text is one that we do not know, and an unknown status is polled on.
OddStatus = BeforeValidator(lambda value: value if isinstance(value, str) and value else "unknown")
