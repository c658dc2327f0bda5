"""Media that authors hand over as ``data:`` URLs: sent whole, and shown nowhere as anything but their sha256."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.serialization import serialized_objects

from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Execute, FakeStateStore, MakeContext, MakeSubmit

PACKED = base64.b64encode(bytes(range(256)) * 4).decode()
IMAGE = f"data:image/png;base64,{PACKED}"
FRAME = {"type": "image_url", "image_url": {"url": IMAGE}, "frame_type": "first_frame"}
FORMS: dict[str, Any] = {
    "a string": IMAGE,
    "a list": [IMAGE],
    "as the API writes it": [FRAME],
    "JSON": json.dumps([FRAME]),
    "as Python prints it": str([FRAME]),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_argument_shows_the_sha256_and_the_request_holds_the_medium(form: str) -> None:
    operator = OrVideoSubmitOperator(task_id="submit", model="m", prompt="p", frame_images=FORMS[form])
    assert PACKED[:40] not in repr(operator.frame_images)
    assert "data:sha256," in repr(operator.frame_images)
    (frame,) = operator._request().frame_images or ()
    assert frame.image_url.url == IMAGE


def test_rendering_keeps_the_medium_whether_it_came_with_the_dag_or_by_a_template(make_context: MakeContext) -> None:
    context: Any = make_context(params={"image": IMAGE})
    for given in ([IMAGE], ["{{ params.image }}"], "{{ params.image }}"):
        operator = OrVideoSubmitOperator(task_id="submit", model="m", prompt="p", frame_images=given)
        operator.render_template_fields(context)
        assert PACKED[:40] not in repr([getattr(operator, name) for name in operator.template_fields])
        (frame,) = operator._request().frame_images or ()
        assert frame.image_url.url == IMAGE


def test_what_is_short_or_lies_elsewhere_is_shown_as_it_is() -> None:
    for address in ("https://example.com/a.png", "s3://aws_default@bucket/a.png", "data:image/png;base64,AAAA"):
        operator = OrVideoSubmitOperator(task_id="submit", model="m", prompt="p", input_references=[address])
        assert operator.input_references == [address]


def test_a_serialized_dag_holds_no_medium() -> None:
    with DAG("films", schedule=None) as dag:
        OrVideoGenerateOperator(
            task_id="film", model="m", prompt="p", destination="s3://bucket/films/", frame_images=[IMAGE]
        )
    # The class got its name with Airflow 3.2.
    name = "DagSerialization" if hasattr(serialized_objects, "DagSerialization") else "SerializedDAG"
    assert PACKED[:40] not in json.dumps(getattr(serialized_objects, name).to_dict(dag))


def test_the_medium_is_sent_and_nothing_that_is_kept_or_returned_holds_it(
    sim: Simulator, make_submit: MakeSubmit, execute: Execute, store: FakeStateStore
) -> None:
    operator = make_submit(frame_images=[IMAGE])
    result = execute(operator)
    (post,) = sim.requests(operation="createVideos")
    assert post.body is not None
    (frame,) = post.body["frame_images"]
    # The simulator's log is short, but tells how much came.
    assert frame["image_url"]["url"].endswith(f"({len(IMAGE)} characters)")
    assert PACKED[:40] not in json.dumps(result) + json.dumps(store.values) + repr(vars(operator)["_frame_images"])
    assert result["request"]["frame_images"][0]["image_url"]["url"].startswith("sha256:")
