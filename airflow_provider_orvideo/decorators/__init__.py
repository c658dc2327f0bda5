"""``@task.orvideo``: a function says what to show, the task returns the landed video's manifest.

Airflow finds the decorator by itself; `orvideo_task` is the same one for whoever likes to import it, and `task` is
Airflow's own ``task`` with a type that knows it, so that editors complete its arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import task as _task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import ParamSpec, TypeVar, Unpack

    from airflow.sdk import XComArg
    from airflow.sdk.bases.decorator import Task
    from airflow.sdk.definitions.decorators import TaskDecoratorCollection

    from airflow_provider_orvideo.operators.typed import DecoratorArguments

    P = ParamSpec("P")
    R = TypeVar("R", bound=str | Mapping[str, Any])

    class _Tasks(TaskDecoratorCollection):
        def orvideo(
            self,
            *,
            model: str | Sequence[str] | XComArg | None = None,
            destination: str | XComArg,
            **kwargs: Unpack[DecoratorArguments],
        ) -> Callable[[Callable[P, R]], Task[P, R]]:
            """See `orvideo_task`."""

    task: _Tasks
else:
    task = _task

__all__ = ["orvideo_task", "task"]


def orvideo_task(
    *,
    model: str | Sequence[str] | XComArg | None = None,
    destination: str | XComArg,
    **kwargs: Unpack[DecoratorArguments],
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a function that returns a prompt, or the fields of a request.

    The function runs on the worker, once in the life of an order: a retry follows the job that was ordered, whatever
    the function would say then. It is asked again where another model is, and after a person cleared the task; then,
    another answer is a changed request (``on_changed_request``).

    Args:
        model: model id, or several; needed unless the function returns one, which is the default. A template.
        destination: where the video goes, as at `OrVideoGenerateOperator`. A template.
        kwargs: any other argument of `OrVideoGenerateOperator`, but for ``prompt`` and ``job_id``. What the function
            returns goes before fields of the request that are given here. Defaults are those of
            `OrVideoGenerateOperator`.

    Returns:
        The decorator. The task returns a `LandedManifest` as a dict.

    Raises:
        TypeError: at parse time: an argument that `OrVideoGenerateOperator` does not take.
        ValueError: at parse time: as at `OrVideoGenerateOperator`.
        ConfigurationError: at parse time: as at `OrVideoGenerateOperator`.
        AirflowFailException: when the task runs: the function returned no prompt and no fields of a request, or as at
            `OrVideoGenerateOperator`.
        OrVideoError: when the task runs: what a retry may mend, as at `OrVideoGenerateOperator`.
    """
    from airflow.sdk.bases.decorator import task_decorator_factory  # noqa: PLC0415 - Airflow imports this module early

    from airflow_provider_orvideo.decorators.orvideo import OrVideoDecoratedOperator  # noqa: PLC0415

    # A function that returns a dict is no wish to have the manifest pushed key by key.
    arguments: dict[str, Any] = {"multiple_outputs": False, **kwargs, "model": model, "destination": destination}
    return task_decorator_factory(decorated_operator_class=OrVideoDecoratedOperator, **arguments)
