"""Numbers and switches of Airflow's configuration. A wrong one must not stop what is paid for.

What shapes an order is read no earlier than an order may leave, and stops that; anything else has a default that will
do until it is mended. ``conf.getint`` and its like raise an error of Airflow's, in the middle of whatever goes on.
"""

from __future__ import annotations

import logging
from math import inf, isfinite, nan
from typing import Any, Final

from airflow.providers.common.compat.sdk import conf

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import ConfigurationError

log = logging.getLogger(__name__)

SECTION: Final = "orvideo"

_SWITCHES: Final = {
    **dict.fromkeys(("t", "true", "1"), True),
    **dict.fromkeys(("f", "false", "0"), False),
}


def number(name: str, default: float, *, allowed: str, least: float = 0.0, most: float = inf) -> float:
    """Read a number that orders need.

    Args:
        name: of the option in the section ``[orvideo]``.
        default: where it is not set, or empty.
        allowed: the end of "it must be …".
        least: smallest number that is allowed.
        most: largest number that is allowed.

    Raises:
        ConfigurationError: it is none; the message names the option, its value, what is allowed and what to do.
    """
    text = _text(SECTION, name)
    if not text:
        return float(default)
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value) or not least <= value <= most:
        raise _wrong(name, text, allowed, default)
    return value


def whole_number(name: str, default: int, *, allowed: str, least: int = 1, most: float = inf) -> int:
    """Read a whole number that orders need; arguments and errors as `number`."""
    value = number(name, default, allowed=allowed, least=least, most=most)
    if not value.is_integer():
        raise _wrong(name, _text(SECTION, name), allowed, default)
    return int(value)


def number_or_default(name: str, default: float, *, allowed: str, least: float = 0.0) -> float:
    """Read a number that orders do not need: a wrong one is logged, and the default taken. Arguments as `number`."""
    try:
        return number(name, default, allowed=allowed, least=least)
    except ConfigurationError:
        _say_default(SECTION, name, allowed, f"{default:.15g}")
        return default


def switch_or_default(name: str, *, section: str = SECTION, default: bool = False) -> bool:
    """Read a switch that orders do not need: a wrong one is logged, and the default taken."""
    # Airflow, too, leaves out what follows a "#".
    text = _text(section, name).lower().partition("#")[0].strip()
    if text in _SWITCHES or not text:
        return _SWITCHES.get(text, default)
    _say_default(section, name, "True or False", str(default))
    return default


def written(*names: str) -> tuple[str, ...]:
    """Return what these options say as they stand there, to tell whether they changed."""
    return tuple(_text(SECTION, name) for name in names)


def catalogue_settings() -> dict[str, Any]:
    """Return where and for how long the catalogue of models is kept, as the preflight's `Rules` take it.

    Raises:
        ConfigurationError: ``cache_ttl`` is no number of seconds.
    """
    return {
        "cache_dir": conf.get("orvideo", "cache_dir", fallback="") or None,
        "cache_ttl": number("cache_ttl", 3600.0, allowed="a number of seconds, 0 or more"),
    }


def resume_grace() -> float:
    """Return the seconds between a deferral and the first look; 10 where ``[orvideo] resume_grace`` is wrong."""
    return number_or_default("resume_grace", 10.0, allowed="a number of seconds, 0 or more")


def _text(section: str, name: str) -> str:
    return str(conf.get(section, name, fallback="") or "").strip()


def _wrong(name: str, text: str, allowed: str, default: float) -> ConfigurationError:
    return ConfigurationError(
        f"[{SECTION}] {name} is {redact(text)!r}; it must be {allowed}. Nothing is ordered until it is. Mend it in "
        f"airflow.cfg or AIRFLOW__{SECTION.upper()}__{name.upper()}, or leave it out for {default:.15g}, the default."
    )


def _say_default(section: str, name: str, allowed: str, default: str) -> None:
    log.warning(
        "[%s] %s is %r; it must be %s. Until it is, the default is taken, %s. Mend it in airflow.cfg or "
        "AIRFLOW__%s__%s.",
        section,
        name,
        redact(_text(section, name)),
        allowed,
        default,
        section.upper(),
        name.upper(),
    )
