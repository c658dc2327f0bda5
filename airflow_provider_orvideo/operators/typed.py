"""The operators' arguments as type checkers and editors know them; nothing of this exists when a task runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from airflow.sdk import XComArg
    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.landing.land import Expect, OnExisting
    from airflow_provider_orvideo.ledger.policies import (
        FallbackOn,
        OnAmbiguousSubmit,
        OnChangedRequest,
        OnClear,
        OnJobFailure,
    )
    from airflow_provider_orvideo.preflight.capabilities import OnUnsupported
    from airflow_provider_orvideo.preflight.inspection import OnUnknownCost

    Callback = Callable[[Context], None] | Sequence[Callable[[Context], None]] | None


class TaskArguments(TypedDict, total=False):
    """What every Airflow task takes besides its id, as far as DAGs commonly set it; see `BaseOperator`."""

    owner: str
    email: str | Sequence[str] | None
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: bool | float
    max_retry_delay: timedelta | float | None
    retry_policy: Any
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    wait_for_downstream: bool
    params: Mapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    execution_timeout: timedelta | None
    on_execute_callback: Callback
    on_failure_callback: Callback
    on_success_callback: Callback
    on_retry_callback: Callback
    on_skipped_callback: Callback
    trigger_rule: Any
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    inlets: Any
    outlets: Any
    doc: str | None
    doc_md: str | None
    task_display_name: str | None
    dag: Any
    task_group: Any
    do_xcom_push: bool
    multiple_outputs: bool
    ignore_first_depends_on_past: bool
    resources: dict[str, Any] | None
    run_as_user: str | None


class OrderArguments(TaskArguments, total=False):
    """The arguments of `OrVideoSubmitOperator` that do not shape the request's prompt and model."""

    aspect_ratio: str | XComArg | None
    callback_url: str | XComArg | None
    creativity: int | str | XComArg | None
    duration: int | str | XComArg | None
    frame_images: str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any] | XComArg | None
    generate_audio: bool | str | XComArg | None
    input_references: str | Sequence[str | Mapping[str, Any]] | XComArg | None
    previous_job_id: str | Mapping[str, Any] | XComArg | None
    provider: Mapping[str, Any] | XComArg | None
    resolution: str | XComArg | None
    seed: int | str | XComArg | None
    session_id: str | XComArg | None
    size: str | XComArg | None
    trace: Mapping[str, Any] | XComArg | None
    upscale_factor: float | str | XComArg | None
    user: str | XComArg | None
    orvideo_conn_id: str
    deferrable: bool | None
    poll_interval: float | timedelta
    timeout: float | timedelta
    job_id: str | XComArg | None
    on_ambiguous_submit: OnAmbiguousSubmit
    on_changed_request: OnChangedRequest
    on_job_failure: OnJobFailure
    on_clear: OnClear
    fallback_on: FallbackOn
    preflight: bool
    on_unsupported: OnUnsupported
    max_cost_usd: float | str | XComArg | None
    on_unknown_cost: OnUnknownCost
    check_budget: bool
    run_budget_usd: float | str | XComArg | None
    budget_name: str | None


class GenerateArguments(OrderArguments, total=False):
    """The arguments of `OrVideoGenerateOperator`, but for prompt, model and destination."""

    on_existing: OnExisting
    expect: Expect
    poster: bool
    look_up_cost: bool
    max_concurrent_downloads: int
    result_cache: str | None


class OrderTask(OrderArguments, total=False):
    """`OrderArguments` of one task."""

    task_id: str


class DecoratorArguments(GenerateArguments, total=False):
    """What ``@task.orvideo`` takes besides model and destination."""

    task_id: str
