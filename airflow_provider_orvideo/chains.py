"""Films of several shots: each continues the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from airflow.sdk import XComArg

    from airflow_provider_orvideo.operators.typed import GenerateArguments


def film(
    shots: Sequence[str | XComArg],
    *,
    model: str | Sequence[str] | XComArg,
    destination: str | XComArg,
    name: str = "shot",
    **arguments: Unpack[GenerateArguments],
) -> list[OrVideoGenerateOperator]:
    """Make one task for each shot, every one but the first with ``previous_job_id`` of the one before.

    The model must be one that continues jobs; which do, OpenRouter's catalogue does not tell, and the API refuses the
    others without a bill. A retry of one shot orders none of the others again.

    Args:
        shots: their prompts, in the order of the film.
        model: model id, or several for the first shot; the later ones take the model that made it, since no other can
            continue it.
        destination: as at `OrVideoGenerateOperator`; ``{task_id}`` or ``{job_id}`` tells the shots apart.
        name: what the tasks' ids begin with; the number of the shot follows, from 1. Default: ``shot``.
        arguments: any other argument of `OrVideoGenerateOperator`. A ``previous_job_id`` is for the first shot.

    Returns:
        The tasks, in the order of the film.

    Raises:
        ValueError: no shots, or as at `OrVideoGenerateOperator` at parse time.
        TypeError: an argument that `OrVideoGenerateOperator` does not take.
        ConfigurationError: a policy has a value that is not allowed.

    Source: which models continue jobs, OpenRouter's OpenAPI document of 2026-08-22 does not tell; that others are
    refused, the live API in October 2026.
    """
    if not shots:
        raise ValueError("'shots' is empty; a film needs the prompt of at least one shot.")
    tasks: list[OrVideoGenerateOperator] = []
    for number, prompt in enumerate(shots, start=1):
        if tasks:
            arguments["previous_job_id"] = tasks[-1].output
        tasks.append(
            OrVideoGenerateOperator(
                task_id=f"{name}_{number}", model=model, prompt=prompt, destination=destination, **arguments
            )
        )
    return tasks
