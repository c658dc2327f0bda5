"""From a command line to the request that the API gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.cli.answer import UsageError
from airflow_provider_orvideo.inputs.resolve import resolve
from airflow_provider_orvideo.inputs.settings import input_options
from airflow_provider_orvideo.inputs.written import written

if TYPE_CHECKING:
    from argparse import Namespace

#: Fields with an option of their own; ``--param`` takes the others.
OPTIONS: Final = (
    "model",
    "prompt",
    "duration",
    "resolution",
    "aspect_ratio",
    "size",
    "generate_audio",
    "seed",
)


def request_of(args: Namespace) -> VideoRequest:
    """Return the request of a command line, with the media that it names read or signed.

    Raises:
        UsageError: a field is given twice.
        RequestInvalidError: a value breaks the API's schema, there is no such field, or a medium cannot be used.
        InputUnavailableError: a medium cannot be read now.
    """
    fields: dict[str, Any] = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    for name, value in args.param:
        if name in fields:
            raise UsageError(f"'{name}' is given twice; give it once.")
        fields[name] = value
    return resolve(VideoRequest.build(**written(fields)), input_options())
