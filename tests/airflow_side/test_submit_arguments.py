"""The submit operator before it runs: its arguments, templates, mapping, defaults and what it refuses."""

from __future__ import annotations

import inspect
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG
from airflow.serialization import serialized_objects

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import ConfigurationError, RequestInvalidError
from airflow_provider_orvideo.operators.arguments import REQUEST_FIELDS
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator
    from tests.airflow_side.conftest import Context, Execute, FakeStateStore, MakeSubmit

FIELDS = tuple(VideoRequest.model_fields)


# ── Every field of the request ───────────────────────────────────────────────────────────────────────────────────────


def test_every_field_of_the_request_is_an_argument() -> None:
    parameters = inspect.signature(OrVideoSubmitOperator).parameters
    assert set(FIELDS) <= set(parameters)
    assert all(parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in FIELDS)
    required = {name for name in FIELDS if parameters[name].default is inspect.Parameter.empty}
    assert required == {name for name, field in VideoRequest.model_fields.items() if field.is_required()} == {"model"}
    assert all(parameters[name].default is None for name in FIELDS if name not in required)


def test_every_field_of_the_request_is_a_template() -> None:
    assert REQUEST_FIELDS == FIELDS
    assert set(OrVideoSubmitOperator.template_fields) == {
        *FIELDS,
        "orvideo_conn_id",
        "job_id",
        "max_cost_usd",
        "run_budget_usd",
    }


def test_every_field_of_the_request_is_documented() -> None:
    text = inspect.getdoc(OrVideoSubmitOperator) or ""
    assert [name for name in FIELDS if f"\n    {name}: " not in text] == []


def test_every_template_is_an_attribute_of_the_operators() -> None:
    submit = OrVideoSubmitOperator(task_id="submit", model="m")
    download = OrVideoDownloadOperator(task_id="download", job="j", destination="/d/")
    for operator in (submit, download):
        assert all(hasattr(operator, name) for name in operator.template_fields)
        assert set(operator.template_fields_renderers) <= set(operator.template_fields)


@pytest.mark.parametrize(
    ("name", "value"),
    {
        "model": "google/veo-3.1",
        "prompt": "a red boat",
        "aspect_ratio": "16:9",
        "callback_url": "https://films.example/hook",
        "creativity": 1,
        "duration": 4,
        "frame_images": [
            {"type": "image_url", "image_url": {"url": "https://a.example/1.png"}, "frame_type": "last_frame"}
        ],
        "generate_audio": False,
        "input_references": [{"type": "audio_url", "audio_url": {"url": "https://a.example/1.mp3"}}],
        "previous_job_id": "gen-vid-1-abcdefghijklmnopqrst",
        "provider": {"options": {"google-vertex": {"parameters": {"negativePrompt": "blurry"}}}},
        "resolution": "720p",
        "seed": 0,
        "session_id": "s-1",
        "size": "1280x720",
        "trace": {"trace_id": "t-1", "own": 1},
        "upscale_factor": 1.5,
        "user": "u-1",
    }.items(),
)
def test_an_argument_reaches_the_wire_as_it_was_given(name: str, value: object) -> None:
    arguments: dict[str, Any] = {"model": "m", name: value}
    assert OrVideoSubmitOperator(task_id="submit", **arguments)._request().to_wire()[name] == value


def test_an_argument_that_the_api_does_not_know_is_refused_at_parse_time() -> None:
    with pytest.raises(TypeError, match="durations"):
        OrVideoSubmitOperator(task_id="submit", model="m", durations=4)


# ── Templates ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_templates_render_and_their_text_becomes_numbers(context: Context, make_submit: MakeSubmit) -> None:
    operator = make_submit(
        model="{{ ti.dag_id }}/model",
        prompt="a {{ ti.run_id }} boat",
        duration="{{ 2 + 2 }}",
        seed="{{ 0 }}",
        upscale_factor="{{ 1.5 }}",
        generate_audio="{{ 1 == 2 }}",
        frame_images=[
            {"type": "image_url", "image_url": {"url": "https://{{ ti.dag_id }}.example"}, "frame_type": "first_frame"}
        ],
        provider={"options": {"google-vertex": {"negativePrompt": "{{ ti.task_id }}"}}},
        orvideo_conn_id="{{ ti.dag_id }}_conn",
    )
    operator.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
    wire = operator._request().to_wire()
    assert (wire["model"], wire["prompt"]) == ("films/model", "a manual__1 boat")
    assert (wire["duration"], wire["seed"], wire["upscale_factor"], wire["generate_audio"]) == (4, 0, 1.5, False)
    assert wire["frame_images"][0]["image_url"]["url"] == "https://films.example"
    assert wire["provider"]["options"]["google-vertex"]["negativePrompt"] == "submit"
    assert operator.orvideo_conn_id == "films_conn"


def test_rendered_text_is_ordered_as_the_number_that_it_is(
    sim: Simulator, make_submit: MakeSubmit, context: Context, execute: Execute
) -> None:
    operator = make_submit(duration="{{ 1 }}", seed=None)
    operator.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
    execute(operator)
    (request,) = sim.requests(operation="createVideos")
    assert request.body["duration"] == 1
    assert "seed" not in request.body


@pytest.mark.parametrize("name", FIELDS)
def test_the_word_none_that_a_template_leaves_is_refused_and_not_made_into_a_video(name: str) -> None:
    arguments: dict[str, Any] = {"model": "m", name: "None"}
    with pytest.raises(RequestInvalidError, match=f"'{name}' is the word None") as caught:
        OrVideoSubmitOperator(task_id="submit", **arguments)._request()
    assert "nothing was spent" in str(caught.value)


def test_a_template_that_finds_nothing_orders_nothing(
    sim: Simulator, make_submit: MakeSubmit, context: Context, execute: Execute, store: FakeStateStore
) -> None:
    operator = make_submit(prompt="{{ ti.nowhere | default(none) }}", seed="{{ none }}")
    operator.render_template_fields(context)  # type: ignore[arg-type]  # a plain dict will do
    with pytest.raises(AirflowFailException, match=r"'prompt' is the word None.*'seed' is the word None"):
        execute(operator)
    assert (sim.requests(), store.values) == ([], {})


def test_a_prompt_that_speaks_of_none_is_a_prompt() -> None:
    operator = OrVideoSubmitOperator(task_id="submit", model="m", prompt="None of the boats is red")
    assert operator._request().prompt == "None of the boats is red"


# ── Mapping and serialisation ────────────────────────────────────────────────────────────────────────────────────────


def round_trip(dag: DAG) -> Any:  # noqa: ANN401 - the scheduler's view of the DAG
    # The class got its name with Airflow 3.2.
    name = "DagSerialization" if hasattr(serialized_objects, "DagSerialization") else "SerializedDAG"
    serialization: Any = getattr(serialized_objects, name)
    return serialization.from_dict(json.loads(json.dumps(serialization.to_dict(dag))))


def test_a_mapped_submit_serialises() -> None:
    with DAG("films", schedule=None) as dag:
        videos = OrVideoSubmitOperator.partial(
            task_id="submit", model="m", duration=4, deferrable=True, timeout=timedelta(hours=1), retries=2
        ).expand(prompt=["a boat", "a bridge", "a bird"])
        OrVideoDownloadOperator.partial(task_id="download", destination="/videos/").expand(job=videos.output)
    task = round_trip(dag).task_dict["submit"]
    assert task.is_mapped
    assert task.operator_name == "OrVideoSubmitOperator"
    assert set(FIELDS) <= set(task.template_fields)
    assert {link.name for link in task.operator_extra_links} == {"Video", "OpenRouter"}


def test_a_submit_mapped_over_several_fields_serialises() -> None:
    with DAG("films", schedule=None) as dag:
        OrVideoSubmitOperator.partial(task_id="submit", model="m").expand_kwargs(
            [{"prompt": "a boat", "duration": 4}, {"prompt": "a bridge", "seed": 7}]
        )
    assert round_trip(dag).task_dict["submit"].is_mapped


def test_the_operators_serialise_with_what_the_ui_shows() -> None:
    with DAG("films", schedule=None) as dag:
        video = OrVideoSubmitOperator(
            task_id="submit", model="m", prompt="a boat", provider={"options": {"x": {"y": 1}}}, timeout=60
        )
        OrVideoDownloadOperator(task_id="download", job=video.output, destination="/videos/")
    tasks = round_trip(dag).task_dict
    assert tasks["submit"].downstream_task_ids == {"download"}
    assert {link.name for link in tasks["download"].operator_extra_links} == {"Video", "OpenRouter"}
    renderers = tasks["submit"].template_fields_renderers
    assert renderers["provider"] == renderers["frame_images"] == "json"
    assert tasks["submit"].prompt == "a boat"


# ── Defaults and limits ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("default", [True, False])
def test_deferrable_follows_airflows_own_default(monkeypatch: pytest.MonkeyPatch, default: bool) -> None:  # noqa: FBT001
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", str(default))
    assert OrVideoSubmitOperator(task_id="submit", model="m").deferrable is default
    assert OrVideoSubmitOperator(task_id="submit", model="m", deferrable=not default).deferrable is not default


def test_the_other_defaults_are_the_documented_ones() -> None:
    operator = OrVideoSubmitOperator(task_id="submit", model="m")
    assert (operator.poll_interval, operator.timeout) == (30.0, 3 * 3600.0)
    assert operator.wait_for_completion
    assert operator.orvideo_conn_id == "orvideo_default"


POLICIES = ("on_ambiguous_submit", "on_changed_request", "on_job_failure", "on_clear", "fallback_on")


@pytest.mark.parametrize("value", ["Fail", "ignore", "", None, True], ids=repr)
@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_is_misspelt_is_refused_at_parse_time(name: str, value: object) -> None:
    arguments: dict[str, Any] = {name: value}
    with DAG("films", schedule=None), pytest.raises(ConfigurationError, match=f"'{name}' is .* allowed are"):
        OrVideoSubmitOperator(task_id="submit", model="m", **arguments)


def test_the_policies_that_are_given_are_those_that_hold() -> None:
    given: dict[str, Any] = dict(zip(POLICIES, ("resubmit", "fail", "resubmit", "submit", "failure"), strict=True))
    operator = OrVideoSubmitOperator(task_id="submit", model="m", **given)
    assert vars(operator._policies) == given == {name: getattr(operator, name) for name in POLICIES}
    defaults = OrVideoSubmitOperator(task_id="submit", model="m")
    assert list(vars(defaults._policies).values()) == ["fail", "submit", "fail", "reuse", "capacity"]


def test_a_mapped_submit_takes_policies_and_jobs_to_adopt() -> None:
    with DAG("films", schedule=None) as dag:
        OrVideoSubmitOperator.partial(task_id="submit", model="m", on_clear="submit").expand(job_id=["job-1", ""])
    assert round_trip(dag).task_dict["submit"].is_mapped


@pytest.mark.parametrize("name", ["job_id", *POLICIES])
def test_what_decides_about_paying_is_documented(name: str) -> None:
    assert f"\n    {name}: " in (inspect.getdoc(OrVideoSubmitOperator) or "")


@pytest.mark.parametrize("name", ["poll_interval", "timeout"])
def test_a_time_is_a_number_of_seconds_or_a_timedelta(name: str) -> None:
    for given, seconds in ((5, 5.0), (0.5, 0.5), (timedelta(minutes=2), 120.0)):
        arguments: dict[str, Any] = {name: given}
        assert getattr(OrVideoSubmitOperator(task_id="submit", model="m", **arguments), name) == seconds


@pytest.mark.parametrize("name", ["poll_interval", "timeout"])
@pytest.mark.parametrize(
    "value", [0, -1, timedelta(0), "30", None, True, float("nan"), float("inf"), 1e12, timedelta.max], ids=repr
)
def test_an_impossible_time_is_refused_at_parse_time_before_it_can_cost_money(name: str, value: object) -> None:
    arguments: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"'{name}'"):
        OrVideoSubmitOperator(task_id="submit", model="m", **arguments)
