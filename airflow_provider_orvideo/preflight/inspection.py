"""The look before an order leaves: is it possible, what will it cost, is that allowed, and can this key pay for it?"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, get_args

from airflow_provider_orvideo.exceptions import (
    BudgetExceededError,
    ConfigurationError,
    CostLimitError,
    OrVideoError,
)
from airflow_provider_orvideo.preflight.capabilities import check_on_unsupported, find_model, resolved
from airflow_provider_orvideo.preflight.catalogue import DEFAULT_TTL, shared_cache
from airflow_provider_orvideo.preflight.money import Dollars
from airflow_provider_orvideo.preflight.pricing import Estimate, estimate

if TYPE_CHECKING:
    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.schema import VideoModel, VideoRequest
    from airflow_provider_orvideo.preflight.capabilities import OnUnsupported

log = logging.getLogger(__name__)

OnUnknownCost = Literal["allow", "fail"]

_NOT_SENT: Final = "The video request was not sent, nothing was spent."


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the DAG's author allows.

    Attributes:
        preflight: whether to look at all; without it the API alone judges the request, and nothing is estimated.
        on_unsupported: what to do with a request that the model does not support; see `capabilities.resolved`.
        max_cost_usd: most that the video may cost by its estimate, in US dollars; None for no limit.
        on_unknown_cost: what to do where the cost cannot be estimated.
        check_budget: whether to ask ``GET /key`` what the key may still spend.
        cache_dir: folder for the catalogue's file; default the system's for temporary files.
        cache_ttl: seconds for which a copy of the catalogue counts as current.
    """

    preflight: bool = True
    on_unsupported: OnUnsupported = "fail"
    max_cost_usd: Decimal | None = None
    on_unknown_cost: OnUnknownCost = "allow"
    check_budget: bool = False
    cache_dir: str | None = None
    cache_ttl: float = DEFAULT_TTL

    def __post_init__(self) -> None:
        """Refuse rules that cannot be kept.

        Raises:
            ConfigurationError: the message names the argument, its value and what is allowed.
        """
        check_on_unsupported(self.on_unsupported)
        if self.on_unknown_cost not in get_args(OnUnknownCost):
            raise ConfigurationError(f"'on_unknown_cost' is {self.on_unknown_cost!r}; it must be 'allow' or 'fail'.")
        if not self.preflight and (self.max_cost_usd is not None or self.on_unknown_cost == "fail"):
            raise ConfigurationError(
                "'preflight' is False, and so nothing is estimated that 'max_cost_usd' and 'on_unknown_cost' could be "
                "held against; leave preflight on, or leave the two out."
            )


def dollars(name: str, value: object) -> Decimal | None:
    """Read an amount that an author wrote, as a number or as text from a template; None for none.

    Args:
        name: of the argument, for the message.
        value: what was given.

    Raises:
        ConfigurationError: it is no amount above 0.
    """
    text = "" if value is None else str(value).strip()
    if text in {"", "None"}:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("nan")
    if isinstance(value, bool) or not amount.is_finite() or amount <= 0:
        raise ConfigurationError(f"'{name}' is {value!r}; it must be an amount of US dollars above 0, or None.")
    return amount


@dataclass(frozen=True)
class Inspected:
    """A request that may leave.

    Attributes:
        request: what is sent; another than was asked for only where ``on_unsupported="adjust"``.
        estimate: what it is expected to cost, None where nobody looked.
    """

    request: VideoRequest
    estimate: Estimate | None = None


def inspect(client: VideoClient, request: VideoRequest, rules: Rules) -> Inspected:
    """Judge a request, and return what may be sent.

    Args:
        client: of the connection that pays; asked for the catalogue where no current copy is at hand.
        request: what is wanted.
        rules: what the author allows.

    Raises:
        RequestUnsupportedError: the model does not support it.
        CostLimitError: it would cost more than allowed, or nobody can tell and that is not allowed.
        BudgetExceededError: the key cannot pay for it.
    """
    found = Inspected(request)
    if rules.preflight:
        models = _models(client, rules)
        request = resolved(request, models, rules.on_unsupported)
        expected = _estimate(request, models)
        found = Inspected(request, expected)
        log.info("Estimated cost: %s. The bill may differ; the API has no cap.", expected)
        _require_allowed(expected, rules)
    if rules.check_budget:
        _require_funds(client, found.estimate)
    return found


def _models(client: VideoClient, rules: Rules) -> tuple[VideoModel, ...] | None:
    try:
        return shared_cache(rules.cache_dir, rules.cache_ttl).get(client).models
    except OrVideoError as error:
        log.warning("What the model supports and costs is not known, since the catalogue cannot be read: %s", error)
        return None


def _estimate(request: VideoRequest, models: tuple[VideoModel, ...] | None) -> Estimate:
    if models is None:
        return Estimate(reason="the catalogue of models cannot be read")
    model = find_model(request.model, models)
    if model is None:
        return Estimate(reason=f"the catalogue does not list {request.model}")
    return estimate(request, model)


def _require_allowed(cost: Estimate, rules: Rules) -> None:
    if cost.usd is None and rules.on_unknown_cost == "fail":
        raise CostLimitError(
            f"{_NOT_SENT} What this video will cost is {cost}, and 'on_unknown_cost' is 'fail'. Set what the estimate "
            "names, choose a model with a readable price list, or set on_unknown_cost to 'allow'."
        )
    if cost.usd is None and rules.max_cost_usd is not None:
        log.warning(
            "'max_cost_usd' of %s cannot be kept: the cost is not known. Set on_unknown_cost to 'fail' to refuse that.",
            Dollars(rules.max_cost_usd),
        )
    if cost.usd is not None and rules.max_cost_usd is not None and cost.usd > rules.max_cost_usd:
        raise CostLimitError(
            f"{_NOT_SENT} This video is estimated at {cost}, more than the 'max_cost_usd' of "
            f"{Dollars(rules.max_cost_usd)}. Order a shorter, smaller or silent one, set what the estimate leaves "
            "open, or raise the limit."
        )


def _require_funds(client: VideoClient, cost: Estimate | None) -> None:
    key = client.get_current_key()
    if key.is_management_key or key.is_provisioning_key:
        raise BudgetExceededError(
            f"{_NOT_SENT} The connection's key is a management key, which may not generate. Use an ordinary key."
        )
    left = key.limit_remaining
    if left is None:
        log.info("The key has no spending limit.")
        return
    wanted = cost.usd if cost else None
    if left <= 0 or (wanted is not None and left < wanted):
        price = f"is estimated at {cost}" if wanted is not None else "costs something"
        raise BudgetExceededError(
            f"{_NOT_SENT} The key has {Dollars(left)} left of its limit, and this video {price}. Raise the key's "
            "limit, or wait until it is reset; what the API tells of it lags by minutes. A retry asks again."
        )
    log.info("The key has %s left of its limit.", Dollars(left))
