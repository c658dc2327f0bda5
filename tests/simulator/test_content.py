"""How a finished video is handed out: the API's own URLs, and the signed ones on the second origin."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from airflow_provider_orvideo.simulator import Simulator

Connect = Callable[..., httpx.Client]
Order = Callable[..., dict[str, Any]]


@pytest.fixture
def stored(simulate: Callable[..., Simulator]) -> Simulator:
    """A simulator that keeps stored copies on a second origin."""
    return simulate(signed_urls=True, signed_seconds=600, outputs=2)


def complete(client: httpx.Client, order: Order) -> dict[str, Any]:
    job_id = client.post("/videos", json=order()).json()["id"]
    answer: dict[str, Any] = client.get(f"/videos/{job_id}").json()
    return answer


def test_content_comes_in_chunks_without_length_ranges_or_a_tag(
    client: httpx.Client, submit: Callable[..., str]
) -> None:
    path = f"/videos/{submit()}/content"
    whole = client.get(path)
    part = client.get(path, headers={"Range": "bytes=0-9"})
    for answer in (whole, part):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert not {"content-length", "content-range", "accept-ranges", "etag", "location"} & set(answer.headers)
    assert part.content == whole.content
    assert whole.content.startswith(b"\x00\x00\x00\x20ftypisom")


def test_large_content_comes_in_several_chunks(
    simulate: Callable[..., Simulator], connect: Connect, order: Order
) -> None:
    sim = simulate(chunk_bytes=1000)
    client = connect(sim)
    job_id = client.post("/videos", json=order()).json()["id"]
    with client.stream("GET", f"/videos/{job_id}/content") as answer:
        sizes = [len(chunk) for chunk in answer.iter_raw()]
    assert len(sizes) > 1
    (entry,) = sim.requests(operation="listVideosContent")
    assert entry.sent == sum(sizes)


def test_the_index_starts_at_zero_and_ends_with_the_outputs(client: httpx.Client, submit: Callable[..., str]) -> None:
    path = f"/videos/{submit()}/content"
    assert client.get(path).content == client.get(path, params={"index": 0}).content
    answer = client.get(path, params={"index": 5})
    assert answer.status_code == 400
    assert answer.json() == {"error": {"message": "Video index 5 out of range (1 videos available)", "code": 400}}


@pytest.mark.parametrize("index", ["-1", "x", "1.5"])
def test_an_index_that_is_no_number(client: httpx.Client, submit: Callable[..., str], index: str) -> None:
    answer = client.get(f"/videos/{submit()}/content", params={"index": index})
    assert answer.status_code == 400
    assert answer.json()["error"]["name"] == "ZodError"


def test_content_before_completion_is_a_conflict(
    simulate: Callable[..., Simulator], connect: Connect, order: Order
) -> None:
    sim = simulate(job_seconds="manual")
    client = connect(sim)
    job_id = client.post("/videos", json=order()).json()["id"]
    early = client.get(f"/videos/{job_id}/content")
    assert early.status_code == 409
    assert early.json()["error"]["code"] == 409
    sim.finish(job_id)
    assert client.get(f"/videos/{job_id}/content").status_code == 200


def test_outputs_can_go(simulate: Callable[..., Simulator], connect: Connect, order: Order) -> None:
    sim = simulate(output_seconds=600, signed_urls=True, signed_seconds=3600)
    client = connect(sim)
    done = complete(client, order)
    sim.advance(601)
    gone = client.get(f"/videos/{done['id']}/content")
    assert gone.status_code == 410
    assert gone.json()["error"]["code"] == 410
    assert httpx.get(done["urls"][0]).status_code == 404
    again = client.get(f"/videos/{done['id']}").json()
    assert again["status"] == "completed"
    assert "urls" not in again


def test_signed_urls_need_no_key_and_are_on_another_origin(stored: Simulator, connect: Connect, order: Order) -> None:
    client = connect(stored)
    done = complete(client, order)
    assert len(done["urls"]) == 2
    assert done["expires_at"] == pytest.approx(stored.jobs()[0].created_at + 600, abs=2)
    for index, url in enumerate(done["urls"]):
        assert urlsplit(url).port != stored.port
        copy = httpx.get(url)
        assert copy.status_code == 200
        assert copy.headers["content-length"] == str(len(copy.content))
        assert copy.content == client.get(f"/videos/{done['id']}/content", params={"index": index}).content
    assert stored.stats()["leaked_authorizations"] == 0


def test_a_key_that_leaks_to_the_second_origin_is_refused_and_counted(
    stored: Simulator, connect: Connect, order: Order
) -> None:
    client = connect(stored)
    url = complete(client, order)["urls"][0]
    assert client.get(url).status_code == 400
    assert stored.stats()["leaked_authorizations"] == 1
    (entry,) = stored.requests(operation="getStored")
    assert (entry.authorization, entry.status) == (True, 400)


def test_a_signed_url_expires_and_cannot_be_altered(stored: Simulator, connect: Connect, order: Order) -> None:
    url = complete(connect(stored), order)["urls"][0]
    assert httpx.get(url.replace("/0.mp4", "/1.mp4")).status_code == 403
    assert httpx.get(url.replace("expires=", "expires=9")).status_code == 403
    assert httpx.get(url.partition("?")[0]).status_code == 403
    assert httpx.get(url).status_code == 200
    stored.advance(601)
    assert httpx.get(url).status_code == 403


def test_neither_origin_serves_the_others_paths(stored: Simulator, connect: Connect, order: Order) -> None:
    client = connect(stored)
    url = urlsplit(complete(client, order)["urls"][0])
    assert client.get(f"{stored.origin}{url.path}?{url.query}").status_code == 404
    assert client.get(f"http://{url.netloc}/api/v1/key").status_code == 404


def test_a_client_that_leaves_is_noted(simulate: Callable[..., Simulator], connect: Connect, order: Order) -> None:
    sim = simulate(chunk_bytes=100)
    sim.add_fault({"content": {"bytes_per_second": 2000}})
    client = connect(sim)
    job_id = client.post("/videos", json=order()).json()["id"]
    with client.stream("GET", f"/videos/{job_id}/content") as answer:
        next(answer.iter_raw())
    (entry,) = sim.wait_for_requests(operation="listVideosContent", status="disconnected")
    assert entry.sent is not None
    assert entry.sent > 0
