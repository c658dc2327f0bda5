"""The list of a batch: from Python, JSONL and CSV, each mistake told with its place, and keys that stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.exceptions import ConfigurationError, RequestInvalidError
from airflow_provider_orvideo.operators.batching.items import Item, read_items

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "google/veo-3.1"


def read(requests: object, *, defaults: object = None, model: object = MODEL) -> tuple[Item, ...]:
    return read_items(requests, defaults=defaults, model=model)


def problems(requests: object, **options: Any) -> str:  # noqa: ANN401 - of `read`
    with pytest.raises(RequestInvalidError) as caught:
        read(requests, **options)
    return str(caught.value)


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    return tmp_path / "shots.jsonl"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "shots.csv"


# ── What may be given ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_prompt_alone_takes_model_and_defaults() -> None:
    (item,) = read(["a boat"], defaults={"duration": 8, "resolution": "720p"})
    assert item.request.to_wire() == {"model": MODEL, "prompt": "a boat", "duration": 8, "resolution": "720p"}
    assert item.adopt is None


def test_an_items_own_fields_go_before_the_argument_and_that_before_the_defaults() -> None:
    defaults = {"model": "c/c", "duration": 8}
    requests = [{"prompt": "a", "model": "a/a", "duration": 4}, {"prompt": "b"}]
    assert [(item.request.model, item.request.duration) for item in read(requests, defaults=defaults, model="b/b")] == [
        ("a/a", 4),
        ("b/b", 8),
    ]
    assert read(["x"], defaults=defaults, model=None)[0].request.model == "c/c"


@pytest.mark.parametrize("write", [json.dumps, str], ids=["JSON", "Python"])
def test_a_list_that_a_template_rendered_to_text_is_read(write: Any) -> None:  # noqa: ANN401
    requests = [{"id": "one", "prompt": "it's a boat"}, {"prompt": "a bridge"}]
    assert read(write(requests)) == read(requests)


def test_jsonl_and_csv_say_the_same_as_a_list(jsonl: Path, table: Path) -> None:
    frame = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "frame_type": "first_frame"}]
    requests = [
        {"id": "one", "prompt": "a boat, red", "duration": 4, "generate_audio": False},
        {"prompt": "two\nlines", "frame_images": frame},
    ]
    jsonl.write_text("\n".join(json.dumps(request) for request in requests) + "\n\n")
    quoted = json.dumps(frame).replace('"', '""')
    table.write_text(
        "\ufeffid,prompt,duration,generate_audio,frame_images,seed\n"
        'one,"a boat, red",4,false,,\n'
        "\n"
        f'  ,"two\nlines",,,"{quoted}", \n'
    )
    assert read(str(jsonl)) == read(requests)
    assert read(f"file://{table}") == read(requests)


def test_a_list_in_object_storage_is_read_by_its_connection(bucket: str) -> None:
    ObjectStoragePath(f"{bucket}/lists/shots.csv").write_text("prompt\na boat\n")
    assert [item.request.prompt for item in read(f"{bucket}/lists/shots.csv")] == ["a boat"]
    with pytest.raises(ConfigurationError, match=r"shots\.jsonl, is not there. Nothing was ordered"):
        read(f"{bucket}/lists/shots.jsonl")
    with pytest.raises(ConfigurationError, match=r"cannot be read.*Check the address and the storage connection"):
        read("nowhere://bucket/shots.csv")


@pytest.mark.parametrize("requests", ["a boat", {"prompt": "a boat"}, 7, b"a boat", "shots.txt", "[broken"])
def test_anything_else_is_refused_with_what_may_be_given(requests: object) -> None:
    assert "it must be a list of prompts or of mappings" in problems(requests)


@pytest.mark.parametrize("defaults", [["duration"], "{broken", 7, '["a"]'])
def test_defaults_must_be_a_mapping(defaults: object) -> None:
    assert "it must be a mapping of model, prompt" in problems(["a"], defaults=defaults)


def test_defaults_name_fields_of_a_request_and_may_come_as_text() -> None:
    assert "'defaults' has 'id', 'promt'; it must be" in problems(["a"], defaults={"promt": "x", "id": "x"})
    assert read(["a"], defaults='{"duration": 8}') == read(["a"], defaults={"duration": 8})
    assert read(["a"], defaults="") == read(["a"])


# ── What is wrong ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_wrong_row_is_told_with_its_place(jsonl: Path) -> None:
    jsonl.write_text('{"prompt": "a"}\n{"prompt": \n7\n{"promt": "a", "duration": "long"}\n{"prompt": "None"}\n')
    text = problems(str(jsonl))
    assert f"{jsonl}, line 2, column 12: it is no JSON" in text
    assert f"{jsonl}, line 3: it is a int" in text
    assert f"{jsonl}, line 4: 'promt' is not a field of a video request; did you mean 'prompt'?" in text
    assert f"{jsonl}, line 4: 'duration' is 'long':" in text
    assert f"{jsonl}, line 5: 'prompt' is the word None" in text
    assert "line 1:" not in text
    assert text.startswith("The video request was not sent, nothing was spent.")
    assert text.endswith("No item of the batch was ordered; mend the list and run this task again.")


def test_a_table_names_line_and_column(table: Path) -> None:
    table.write_text('prompt,duration\n"two\nlines",4\na,b,c\nx,-1\n')
    text = problems(str(table))
    assert f"{table}, line 4: it has 3 cells, and the header has 2; quote commas." in text
    assert f"{table}, line 5: 'duration' is '-1'" in text
    table.write_text("promt,prompt,prompt,zzz\na,b,c,d\n")
    text = problems(str(table))
    assert f"{table}, line 1, column 1: 'promt' is no column of a batch; did you mean 'prompt'?" in text
    assert "column 3: 'prompt' is no column of a batch; it is there twice." in text
    assert "column 4: 'zzz' is no column of a batch; known columns: id, job_id, model, prompt" in text


def test_a_table_with_a_broken_quote_and_a_file_that_is_no_text_are_told(table: Path) -> None:
    table.write_text('prompt\n"a\n')
    assert "it is no CSV" in problems(str(table))
    table.write_bytes(b"prompt\n\xff\xfe\n")
    assert "is no text in UTF-8" in problems(str(table))


def test_a_long_list_of_problems_is_cut() -> None:
    text = problems([{"prompt": "a", "duration": 0}] * 50)
    assert text.count("'duration' is 0") == 20
    assert "And 30 more problems." in text


@pytest.mark.parametrize("given", [7.5, True, ["a"], "x" * 101, "\N{CLAPPER BOARD}" * 40, "a\nb"])
def test_an_id_is_a_short_printable_text(given: object) -> None:
    assert "requests[0]: 'id' is " in problems([{"id": given, "prompt": "a"}])


def test_two_items_must_not_have_one_id() -> None:
    text = problems([{"id": "one", "prompt": "a"}, {"id": 1, "prompt": "b"}, {"id": "one", "prompt": "c"}])
    assert "requests[2]: its id 'one' is that of another item; give each its own." in text


# ── Keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def keys(*requests: object, **options: Any) -> list[str]:  # noqa: ANN401 - of `read`
    return [item.key for item in read(list(requests), **options)]


def test_an_id_is_the_key() -> None:
    assert keys({"id": "one", "prompt": "a"}, {"id": 2, "prompt": "b"}) == ["one", "2"]


def test_a_key_stays_whatever_else_is_in_the_list() -> None:
    a, b = keys("a", "b")
    assert a != b
    assert keys("new", "b", "a") == [keys("new")[0], b, a]
    assert all(len(key) == 16 for key in (a, b))


def test_the_second_of_its_kind_gets_a_number() -> None:
    first, second, third = keys("a", "a", {"prompt": "a"})
    assert (second, third) == (f"{first}-2", f"{first}-3")


def test_a_key_is_about_an_items_own_fields() -> None:
    assert keys("a", defaults={"duration": 4}) == keys("a", defaults={"duration": 8}, model="other/model")
    assert keys({"prompt": "a", "duration": 4}) != keys({"prompt": "a", "duration": 8})
    assert keys({"prompt": "a", "duration": 4}) == keys({"prompt": "a", "duration": "4", "job_id": "j", "user": "u"})


def test_a_key_does_not_change_with_a_signature() -> None:
    def signed(signature: str) -> dict[str, Any]:
        url = f"https://bucket.s3.amazonaws.com/a.png?X-Amz-Signature={signature}&X-Amz-Date=20261122T000000Z"
        return {"prompt": "a", "frame_images": [{"image_url": {"url": url}, "frame_type": "first_frame"}]}

    assert keys(signed("aaaa")) == keys(signed("bbbb"))
