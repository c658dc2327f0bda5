"""The items of a batch: each with a validated request, and a key that stays when the list changes around it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import RequestInvalidError
from airflow_provider_orvideo.ledger.fingerprint import fingerprint
from airflow_provider_orvideo.operators.batching.reading import OF_THE_ITEM, Problems, read_rows
from airflow_provider_orvideo.operators.orders import models_of, request_of

if TYPE_CHECKING:
    from airflow_provider_orvideo.operators.batching.reading import Row

#: Characters of an id: it becomes part of the name of a record, and perhaps of a file.
_LONGEST_ID: Final = 100
#: The same as a record's name spells them; Airflow allows 512 in all.
_LONGEST_QUOTED: Final = 400
#: Hex digits of a request's hash: enough for any list, short in the Airflow UI.
_DIGITS: Final = 16


@dataclass(frozen=True)
class Item:
    """One video that is wanted.

    Attributes:
        key: names it within its task instance, whatever else is in the list: the author's id, or a hash of the item's
            own fields, with a number for the second of its kind and later ones.
        request: what is ordered, defaults included; media by the addresses that their author gave.
        models: the models that may serve, in the order in which they are asked; the request's first.
        adopt: id of an existing job that is this item's, None for none.
    """

    key: str
    request: VideoRequest
    models: tuple[str, ...]
    adopt: str | None = None


def read_items(requests: object, *, defaults: object, model: object) -> tuple[Item, ...]:
    """Read and check the whole list: one wrong row, and nothing is ordered.

    Args:
        requests: as `read_rows` takes it.
        defaults: fields of a request for all items that do not set them; a mapping, or one as a template rendered it.
        model: model id for all items that do not set it; goes before that in ``defaults``.

    Raises:
        ConfigurationError: the file cannot be read.
        RequestInvalidError: one sentence for each problem, with its place.
    """
    problems = Problems()
    common = _defaults(defaults)
    if model is not None and model != "":
        common = {**common, "model": model}
    keys: Counter[str] = Counter()
    items = []
    for row in read_rows(requests, problems):
        item = _item(row, common, problems, keys)
        if item is not None:
            items.append(item)
    problems.raise_if_any()
    return tuple(items)


def _defaults(defaults: object) -> dict[str, Any]:
    value = defaults
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() not in {"", "None"} else None
        except ValueError:
            value = ()
    if value is None:
        return {}
    unknown = sorted(set(map(str, value)) - set(VideoRequest.model_fields)) if isinstance(value, Mapping) else []
    if not isinstance(value, Mapping) or unknown:
        shown = f"has {', '.join(map(repr, unknown))}" if unknown else f"is {redact(repr(defaults), limit=80)}"
        raise RequestInvalidError(
            (f"'defaults' {shown}; it must be a mapping of {', '.join(VideoRequest.model_fields)}.",)
        )
    return dict(value)


def _item(row: Row, common: Mapping[str, Any], problems: Problems, keys: Counter[str]) -> Item | None:
    own = {name: value for name, value in row.fields.items() if name not in OF_THE_ITEM}
    given, adopt = (_name(row, name, problems) for name in OF_THE_ITEM)
    values = {**common, **own}
    try:
        models = models_of(values.get("model"), values.get("previous_job_id"))
        request = request_of(values)
    except RequestInvalidError as error:
        problems.add(row.place, *error.problems)
        return None
    if given is None:
        hashed = _hash(request, set(own))
        keys[hashed] += 1
        key = hashed if keys[hashed] == 1 else f"{hashed}-{keys[hashed]}"
        if keys[hashed] > 1:
            keys[key] += 1
    else:
        key = given
        keys[key] += 1
        if keys[key] > 1:
            problems.add(row.place, f"its id {key!r} is that of another item; give each its own.")
    return Item(key, request, models, adopt)


def _name(row: Row, name: str, problems: Problems) -> str | None:
    value = row.fields.get(name)
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        problems.add(row.place, f"'{name}' is {redact(repr(value), limit=80)}; it must be a text.")
    elif len(text) > _LONGEST_ID or len(quote(text, safe="")) > _LONGEST_QUOTED or not text.isprintable():
        problems.add(
            row.place,
            f"'{name}' is {redact(ascii(text), limit=80)}; it must have at most {_LONGEST_ID} printable characters, "
            "fewer if they are not ASCII.",
        )
    return text or None


def _hash(request: VideoRequest, own: set[str]) -> str:
    """Name an item by what its own row says: defaults that change are a changed request, not another item."""
    others = dict.fromkeys(name for name in VideoRequest.model_fields if name not in own)
    alone = request.model_copy(update={**others, "model": request.model if "model" in own else ""})
    return fingerprint(alone, conn_id="", base_url="")[:_DIGITS]
