"""One thing that the API would not do as asked, what would be allowed instead, and how to put that into the request."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import RequestUnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Longest piece of a request that a message shows, in characters.
SHOWN: Final = 80

Path = tuple[str | int, ...]


@dataclasses.dataclass(frozen=True)
class Remove:
    """In place of a nearest value: nothing is allowed there, leave it out."""

    def __str__(self) -> str:
        """Return what to do."""
        return "leave it out"


REMOVE: Final = Remove()


@dataclasses.dataclass(frozen=True)
class Rename:
    """In place of a nearest value: the value may stay, under another key.

    Attributes:
        key: the key that is allowed.
    """

    key: str

    def __str__(self) -> str:
        """Return what to do."""
        return f"call it {self.key!r}"


@dataclasses.dataclass(frozen=True)
class Violation:
    """One thing that the API would refuse, or ignore silently.

    Attributes:
        field: path of the field, for example ``frame_images[0].image_url.url``.
        value: what was given, secrets removed.
        allowed: what is allowed; where there is no nearest value, also what to do.
        nearest: the nearest allowed value, `REMOVE` or a `Rename`; None where only a person can choose. Not shown in
            repr, for it may be a signed URL.
        path: keys and positions that lead to what ``nearest`` replaces; empty for the field itself.
    """

    field: str
    value: str
    allowed: str
    nearest: object | None = dataclasses.field(default=None, repr=False)
    path: Path = dataclasses.field(default=(), repr=False)

    @property
    def target(self) -> Path:
        """Where ``nearest`` goes."""
        return self.path or (self.field,)

    @property
    def fix(self) -> str:
        """What to do, in words; empty where ``allowed`` says it."""
        if self.nearest is None:
            return ""
        if isinstance(self.nearest, Remove | Rename):
            return str(self.nearest)
        return f"use {redact(str(self.nearest), limit=SHOWN)}"

    def __str__(self) -> str:
        """Return a whole sentence: the field, its value, what is allowed, what to do."""
        words = "; ".join(filter(None, (self.allowed, self.fix)))
        return f"'{redact(self.field, limit=2 * SHOWN)}' is {self.value}: {words}."


def shown(value: object) -> str:
    """Return a value of a request as messages show it: without secrets and media, and short."""
    return redact(repr(value), limit=SHOWN)


def listed(values: Iterable[object]) -> str:
    """Return the values as a person writes them: ``4, 6 and 8``; ``nothing`` for none."""
    texts = [str(value) for value in values]
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1]))) if texts else "nothing"


def adjusted(request: VideoRequest, found: Sequence[Violation]) -> VideoRequest:
    """Return the request with the nearest allowed value in the place of each violation.

    Raises:
        RequestUnsupportedError: some have no nearest value; one sentence for each, nothing was sent.
        RequestInvalidError: a nearest value of a foreign catalogue breaks the request's schema.
    """
    removed = {violation.target for violation in found if isinstance(violation.nearest, Remove)}
    # What is wrong inside of something that is left out is of no matter.
    live = [each for each in found if not any(each.target[:length] in removed for length in range(1, len(each.target)))]
    if hopeless := [each for each in live if each.nearest is None]:
        raise RequestUnsupportedError(tuple(map(str, hopeless)))
    if not live:
        return request
    body: dict[str, Any] = {name: getattr(request, name) for name in request.model_fields_set}
    for name in {each.target[0] for each in live if len(each.target) > 1}:
        body[str(name)] = request.model_dump(mode="json", include={str(name)})[str(name)]
    for each in sorted(live, key=_in_order):
        _apply(body, each.target, each.nearest)
    return VideoRequest.build(**body)


def _in_order(violation: Violation) -> tuple[int, ...]:
    """Deep before shallow, and the end of a list before its beginning: no step moves what a later one looks for."""
    positions = (-part for part in violation.target if isinstance(part, int))
    return -len(violation.target), *positions


def _apply(body: dict[str, Any], path: Path, nearest: object) -> None:
    *above, last = path
    holders: list[Any] = [body]
    for part in above:
        if isinstance(holders[-1], dict) and part not in holders[-1]:
            return  # emptied by an earlier step, and so gone
        holders.append(holders[-1][part])
    holder = holders[-1]
    if isinstance(nearest, Rename):
        # Built anew, so that the keys keep their order.
        renamed = {nearest.key if key == last else key: value for key, value in holder.items()}
        holder.clear()
        holder.update(renamed)
    elif isinstance(nearest, Remove):
        del holder[last]
        # A list or an object that this emptied says nothing any more.
        for part, outer in zip(reversed(above), reversed(holders[:-1]), strict=True):
            if outer[part]:
                break
            del outer[part]
    else:
        holder[last] = nearest
