"""What the operators that order share: the request and the rules from their arguments, and the last look before."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.api.schema import JobStatus, VideoRequest
from airflow_provider_orvideo.exceptions import RequestInvalidError
from airflow_provider_orvideo.inputs.settings import input_options
from airflow_provider_orvideo.inputs.written import written
from airflow_provider_orvideo.jobs import job_manifest, literal
from airflow_provider_orvideo.ledger.decision import Submit, decide
from airflow_provider_orvideo.ledger.purchase import Prepared
from airflow_provider_orvideo.operators.arguments import summary
from airflow_provider_orvideo.options import catalogue_settings
from airflow_provider_orvideo.preflight.inspection import Rules, dollars, inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.ledger.policies import Policies
    from airflow_provider_orvideo.ledger.record import Record
    from airflow_provider_orvideo.operators.budgeting import Budgeting
    from airflow_provider_orvideo.operators.observing import Ordering
    from airflow_provider_orvideo.preflight.inspection import Inspected

log = logging.getLogger(__name__)

#: Arguments of the operators that are rules of the preflight, by the same names.
_PLAIN_RULES: Final = ("preflight", "on_unsupported", "on_unknown_cost", "check_budget")


def models_of(model: object, previous: object = None) -> tuple[str, ...]:
    """Read the ``model`` argument: one model id, or several of which the first that has room serves.

    Args:
        model: what was given.
        previous: the ``previous_job_id`` argument; if it is the manifest of a job, only the model that made it can
            continue it (the API's own rule).

    Raises:
        RequestInvalidError: it names none, or one of them twice, or not the one that can continue.
    """
    value = literal(model) if isinstance(model, str) and model.lstrip().startswith("[") else model
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) and name for name in names):
        problem = f"'model' is {model!r}; it must be a model id, for example 'google/veo-3.1', or a list of such."
        raise RequestInvalidError((problem,))
    if len({*names}) < len(names):
        raise RequestInvalidError((f"'model' is {names!r}, which names a model twice; each can serve once.",))
    made_by = None if previous is None or previous == "" else job_manifest(previous, "previous_job_id").model
    if made_by is None:
        return tuple(names)
    if made_by not in names:
        raise RequestInvalidError(
            (f"'model' is {model!r}, but the job to continue was made by {made_by}, and only that model can do it.",)
        )
    return (made_by,)


def request_of(values: Mapping[str, Any]) -> VideoRequest:
    """Build the request from rendered arguments; of several models, for the first.

    Raises:
        RequestInvalidError: the message names each wrong field.
    """
    # What a template leaves that finds nothing: a video of the word would be made, and billed.
    empty = [name for name, value in values.items() if value == "None"]
    if empty:
        raise RequestInvalidError(
            tuple(f"'{name}' is the word None: its template found nothing; mend it, or pass None." for name in empty)
        )
    previous = values.get("previous_job_id")
    given = {**written(values), "model": models_of(values.get("model"), previous)[0]}
    if previous is not None and previous != "":
        given["previous_job_id"] = job_manifest(previous, "previous_job_id").job_id
    return VideoRequest.build(**given)


def rules_of(operator: Any) -> Rules:  # noqa: ANN401 - whoever has the arguments
    """Read the preflight's rules from an operator's arguments and Airflow's configuration.

    Raises:
        ConfigurationError: an argument or an option cannot work.
    """
    return Rules(
        **{name: getattr(operator, name) for name in _PLAIN_RULES},
        max_cost_usd=dollars("max_cost_usd", operator.max_cost_usd),
        **catalogue_settings(),
    )


def prepared(
    client: VideoClient, read_rules: Callable[[], Rules], budget: Budgeting, order: Ordering, request: VideoRequest
) -> Prepared:
    """Have the last look before the order leaves. A rule that cannot be read must not stop a paid job from landing."""
    log.info("Ordering one video: %s, a prompt of %d characters", summary(request), len(request.prompt or ""))
    rules = read_rules()
    input_options()  # wrong ones stop all orders, as in a batch, and not only those to whose media they apply
    found = inspect(client, request, rules)
    budget.reserve(found.estimate, rules)
    return order.leaves(ready(found))


def ready(found: Inspected) -> Prepared:
    """Return what passed the preflight as an order."""
    cost = found.estimate
    if cost is None or cost.low is None or cost.high is None:
        return Prepared(found.request)
    low = None if cost.low == cost.high else float(cost.low)
    return Prepared(found.request, estimated_cost_usd=float(cost.high), estimated_low_usd=low)


def falls_back(record: Record, policies: Policies, read_models: Callable[[], tuple[str, ...]]) -> bool:
    """Whether the job that just ended has another model ordered by its own attempt.

    Args:
        record: of the job, terminal.
        policies: what the author wants.
        read_models: tells which models may serve.
    """
    if record.status == JobStatus.COMPLETED or record.adopted:
        return False
    try:
        models = read_models()
    except RequestInvalidError:  # a template may find nothing any more when the task resumes
        return False
    # By the rules of a next attempt, but for what the author leaves to Airflow's retries.
    policies = replace(policies, on_job_failure="fail")
    return isinstance(decide(record, order=record.fingerprint, policies=policies, models=models), Submit)
