"""Writes deferred task instances and their triggers into Airflow's database, as N deferrals leave them behind.

Runs with Airflow's environment, before the triggerer starts. The triggers are parked in a queue that no triggerer
serves; `release` in ``bench_triggerer.py`` sets them free all at once, which is when time begins.

Reads from standard input: ``{"dag_id": …, "task_id": …, "queue": …, "triggers": [[class path, arguments], …]}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow._shared.timezones import timezone
from airflow.models.dag_version import DagVersion
from airflow.models.dagbag import DBDagBag
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType


def seed(dag_id: str, task_id: str, queue: str, triggers: list[tuple[str, dict[str, Any]]]) -> int:
    """Write one run whose one task was mapped over all triggers, each instance deferred; return how many."""
    now = timezone.utcnow()
    with create_session() as session:
        dag = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
        version = DagVersion.get_latest_version(dag_id, session=session)
        if dag is None or version is None:
            raise RuntimeError(f"Airflow does not know the DAG {dag_id}.")
        run = dag.create_dagrun(
            run_id="bench",
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.CLI,
            state=DagRunState.RUNNING,
            session=session,
        )
        for instance in run.get_task_instances(session=session):
            session.delete(instance)
        session.flush()
        task = dag.get_task(task_id)
        for index, (classpath, arguments) in enumerate(triggers):
            row = Trigger(classpath=classpath, kwargs={}, created_date=now, queue=queue)
            row.encrypted_kwargs = json.dumps(arguments)  # plain JSON, as the execution API stores a deferral
            instance = TaskInstance(
                task, dag_version_id=version.id, run_id="bench", state=TaskInstanceState.DEFERRED, map_index=index
            )
            instance.try_number = 1
            instance.start_date = now
            instance.next_method = "execute_complete"
            instance.next_kwargs = {}
            instance.trigger = row
            session.add(instance)
    return len(triggers)


if __name__ == "__main__":
    print(seed(**json.load(sys.stdin)))
