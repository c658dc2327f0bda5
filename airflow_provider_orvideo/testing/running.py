"""Runs a DAG in this process by Airflow's own ``dag.test()``, with nothing to prepare and nothing to wait for."""

from __future__ import annotations

import importlib
import inspect
import json
import warnings
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow.sdk import DAG

_OURS: Final = "airflow_provider_orvideo."
_BUNDLE: Final = "orvideo-tests"
#: The modules of Airflow that run in the API server and at the database, in a deployment far from any task.
_SERVER: Final = r"airflow\.(api_fastapi|dag_processing|models|serialization|utils)\."
#: Seconds between two looks at a job.
POLL_INTERVAL: Final = 0.05
#: Seconds that a task of this provider waits at most: a job that never ends must not hold up a test for hours.
TIMEOUT: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """How a run of a DAG ended.

    The dictionaries have one entry for each task instance: ``"submit"``, or ``"submit[0]"``, ``"submit[1]"``, … where
    the task is mapped.

    Attributes:
        state: ``success`` or ``failed``.
        states: state of each task instance: ``success``, ``failed``, ``upstream_failed``, ``skipped``, ….
        xcoms: what each task instance returned; those that returned nothing are absent.
        tries: attempts of each task instance.
        errors: what the last attempt of each failed task instance raised.
        dag_run: Airflow's own object, for everything else.
    """

    state: str
    states: Mapping[str, str]
    xcoms: Mapping[str, Any]
    tries: Mapping[str, int]
    errors: Mapping[str, BaseException]
    dag_run: Any = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RunDag:
    """Runs a DAG when called, as a deployment does, but for this.

    - tasks run one after the other in this process, triggers too (Airflow's ``dag.test()``);
    - tasks of this provider look at their job every 0.05 s, and wait no longer than ``timeout``;
    - retries follow at once, whatever ``retry_delay`` says, and as often as ``retries`` says.

    Args:
        root: folder that relative paths start from; pytest's rootdir.
        set_bundle: point Airflow's DAG bundles to the DAG's own file for the duration of a run.
    """

    root: Path
    set_bundle: bool

    def __call__(
        self,
        dag: DAG | str | Path,
        *,
        dag_id: str | None = None,
        conf: dict[str, Any] | None = None,
        logical_date: datetime | None = None,
        timeout: float = TIMEOUT,
    ) -> FinishedRun:
        """Run a DAG to its end.

        Args:
            dag: a DAG object that stands in a module of its own, or the path of a DAG file, relative to pytest's
                rootdir; a path is read anew for each run.
            dag_id: which DAG of the file, where it has several. Default: the only one.
            conf: configuration of the run, as ``dag_run.conf``. Default: none.
            logical_date: of the run. Default: now.
            timeout: longest wait of a task of this provider for its job, in seconds. Default: 20 s.

        Returns:
            How it ended; a failed run is no exception. Where the DAG cannot be read or found, the test fails.
        """
        if isinstance(dag, str | Path):
            dag = self._read(self.root / dag, dag_id)
        errors: dict[str, BaseException] = {}
        dates: dict[str, Any] = {} if logical_date is None else {"logical_date": logical_date}
        _load_airflows_server()
        with (
            self._found(dag),
            _one_server(),
            _hurried(dag, timeout),
            _errors_kept(errors),
            warnings.catch_warnings(),
        ):
            # What Airflow's server and its database code use is not for a team's tests to mend; where warnings are
            # errors, they would fail inside that server. What DAGs and operators use stays as the team has it.
            warnings.filterwarnings("ignore", message="Using `httpx` with `starlette.testclient`")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=_SERVER)
            try:
                dag_run = dag.test(run_conf=conf, **dates)
            except Exception:
                if _is_in_database(dag):
                    raise
                pytest.fail(self._why_unknown(dag), pytrace=False)
            return _finished(dag_run, errors)

    def _read(self, path: Path, dag_id: str | None) -> DAG:
        if not path.is_file():
            pytest.fail(f"There is no DAG file {path}.", pytrace=False)
        bag = _dag_bag()(path)
        if bag.import_errors:
            pytest.fail("\n".join(bag.import_errors.values()), pytrace=False)
        dags: dict[str, DAG] = bag.dags
        if dag_id is None and len(dags) == 1:
            return next(iter(dags.values()))
        if dag_id not in dags:
            pytest.fail(
                f"{path} has the DAGs {', '.join(sorted(dags)) or '(none)'}; name one as dag_id.", pytrace=False
            )
        return dags[dag_id]

    def _why_unknown(self, dag: DAG) -> str:
        where = f"reads {dag.fileloc}" if self.set_bundle else "reads the configured DAG bundles"
        return (
            f"Airflow {where} before it runs the DAG {dag.dag_id!r}, and did not find it there. Let it be made at the "
            "top level of a module that imports without errors, not inside a function or a test."
        )

    @contextmanager
    def _found(self, dag: DAG) -> Iterator[None]:
        """Let Airflow find the DAG: ``dag.test()`` reads the configured bundles into the database first."""
        with pytest.MonkeyPatch.context() as patch:
            if self.set_bundle:
                bundle = {
                    "name": _BUNDLE,
                    "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                    "kwargs": {"path": dag.fileloc},
                }
                patch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
                _forget_bundles()
            try:
                yield
            finally:
                _forget_bundles()


def make_database() -> None:
    """Make the tables of Airflow's metadata database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Airflow's own business
        from airflow.utils.db import initdb  # noqa: PLC0415 - not before the home is set

        initdb()


def _load_airflows_server() -> None:
    """Import what ``dag.test()`` will; that Airflow's server uses deprecated names is not for teams to mend."""
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.simplefilter("ignore")
        importlib.import_module("airflow.api_fastapi.execution_api.routes")


@contextmanager
def _one_server() -> Iterator[None]:
    """Let Airflow keep its in-process server from task to task, where it would make another for each.

    It does before 3.3, which takes seconds, and drops what that server lives on: with svcs 26.2 no task of 3.2 would
    start. Nor would any without a key for tokens, which a home that no command of Airflow has seen does not have.
    """
    from airflow.configuration import conf  # noqa: PLC0415 - not before the home is set
    from airflow.sdk.execution_time import supervisor  # noqa: PLC0415 - not before the home is set

    make: Any = getattr(supervisor, "in_process_api_server", None)
    with pytest.MonkeyPatch.context() as patch:
        if make is not None and not hasattr(make, "cache_info"):
            patch.setattr(supervisor, "in_process_api_server", cache(make))
            if not conf.get("api_auth", "jwt_secret", fallback=""):
                patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", token_hex(64))
        yield


def _forget_bundles() -> None:
    """Let Airflow 3.4 read the configured bundles anew; it does so once in the life of a process, older ones always."""
    from airflow.dag_processing.bundles import manager  # noqa: PLC0415 - not before the home is set

    remembered: Any = getattr(manager, "_load_bundle_config_snapshot", None)
    if remembered is not None:
        remembered.cache_clear()


def _is_in_database(dag: DAG) -> bool:
    from airflow.models.dag_version import DagVersion  # noqa: PLC0415 - not before the home is set

    return DagVersion.get_latest_version(dag.dag_id) is not None


def _dag_bag() -> Any:  # noqa: ANN401 - the class moved between Airflow 3.1 and 3.3
    try:
        from airflow.dag_processing.dagbag import DagBag  # noqa: PLC0415 - not before the home is set
    except ImportError:
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]  # noqa: PLC0415 - Airflow 3.1
    return DagBag


def _label(instance: Any) -> str:  # noqa: ANN401 - Airflow has several classes of task instances
    return str(instance.task_id) if instance.map_index < 0 else f"{instance.task_id}[{instance.map_index}]"


def _finished(dag_run: Any, errors: dict[str, BaseException]) -> FinishedRun:  # noqa: ANN401
    instances = sorted(dag_run.get_task_instances(), key=lambda instance: (instance.task_id, instance.map_index))
    returned = {
        _label(instance): instance.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index)
        for instance in instances
    }
    return FinishedRun(
        state=str(dag_run.state),
        states={_label(instance): str(instance.state) for instance in instances},
        xcoms={label: value for label, value in returned.items() if value is not None},
        tries={_label(instance): instance.try_number for instance in instances},
        errors=errors,
        dag_run=dag_run,
    )


# ── What differs from a deployment ───────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _hurried(dag: DAG, timeout: float) -> Iterator[None]:
    """Shorten the pauses of a DAG's tasks; a DAG object that a module keeps is afterwards as it was."""
    with ExitStack() as undo:
        for task in dag.tasks:
            changes: dict[str, Any] = {"retry_delay": timedelta(0)}
            pauses = {"poll_interval", "poke_interval"} & _arguments(_class_of(task))
            changes |= dict.fromkeys(pauses, POLL_INTERVAL)
            if pauses:  # it waits
                changes["timeout"] = min(timeout, _seconds(_now(task, "timeout"), timeout))
            for name in changes.keys() - _mapped_over(task):
                _change(task, name, changes[name], undo)
        yield


def _class_of(task: Any) -> type:  # noqa: ANN401 - an operator, or a mapped one
    mapped: type | None = getattr(task, "operator_class", None)
    return type(task) if mapped is None else mapped


def _arguments(operator: type) -> set[str]:
    """Return the names of the arguments that this provider's classes among its bases take; empty for others."""
    ours = [base for base in operator.__mro__ if base.__module__.startswith(_OURS)]
    return {name for base in ours for name in inspect.signature(base.__init__).parameters}  # type: ignore[misc]


def _now(task: Any, name: str) -> Any:  # noqa: ANN401
    return task.partial_kwargs.get(name) if hasattr(task, "partial_kwargs") else getattr(task, name, None)


def _mapped_over(task: Any) -> set[str]:  # noqa: ANN401
    """Return the arguments that a mapped task expands: those may not be given to all of them as well."""
    value = getattr(getattr(task, "expand_input", None), "value", ())
    items = [value] if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else []
    return {name for item in items if isinstance(item, Mapping) for name in item}


def _seconds(value: Any, default: float) -> float:  # noqa: ANN401
    return value.total_seconds() if isinstance(value, timedelta) else default if value is None else float(value)


def _change(task: Any, name: str, value: Any, undo: ExitStack) -> None:  # noqa: ANN401
    """Change an argument of a task until ``undo``."""
    holder: dict[str, Any] = task.partial_kwargs if hasattr(task, "partial_kwargs") else task.__dict__
    if name in holder:
        undo.callback(holder.__setitem__, name, holder[name])
    else:
        undo.callback(holder.pop, name, None)
    holder[name] = value


@contextmanager
def _errors_kept(errors: dict[str, BaseException]) -> Iterator[None]:
    """Keep what attempts raise, which ``dag.test()`` only logs."""
    from airflow.sdk.execution_time import supervisor  # noqa: PLC0415 - not before the home is set

    run = supervisor.run_task_in_process

    def run_and_keep(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Airflow's own
        result = run(*args, **kwargs)
        label = _label(result.ti)
        errors.pop(label, None)
        if result.error is not None:
            errors[label] = result.error
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "run_task_in_process", run_and_keep)
        yield
