"""Who may see which file, against a real API server: each row of the security table is a test.

The forged rows write into the XCom of a task what somebody with the right to edit XComs could write.
"""

from __future__ import annotations

import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlsplit

import httpx
import pytest
from local_airflow import wait_until

from airflow_provider_orvideo.manifests import LandedFile, LandedManifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.deployment import UiDeployment

pytestmark = pytest.mark.e2e

MIB: Final = 1024 * 1024


def preview_path(run: tuple[str, str], task_id: str = "download", map_index: int = 0, index: int = 0) -> str:
    dag_id, run_id = run
    return f"/orvideo/api/preview/{dag_id}/{quote(run_id, safe='')}/{task_id}/{map_index}/{index}"


@pytest.fixture
def landed(ui_deployment: UiDeployment) -> str:
    """The path of the first landed video."""
    return preview_path(ui_deployment.runs["landed"])


@pytest.fixture
def admin(ui_deployment: UiDeployment) -> Iterator[httpx.Client]:
    with ui_deployment.client("admin") as client:
        yield client


# ── Who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["admin", "viewer"])
def test_who_may_read_the_xcom_gets_the_very_bytes_that_were_landed(
    ui_deployment: UiDeployment, landed: str, name: str
) -> None:
    (file,) = ui_deployment.manifest(0)["files"]
    with ui_deployment.client(name) as client:
        answer = client.get(landed)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert hashlib.sha256(answer.content).hexdigest() == file["sha256"]
    assert answer.headers["etag"] == f'"{file["sha256"]}"'


@pytest.mark.parametrize("what", ["preview", "poster"])
def test_nobody_gets_nothing(ui_deployment: UiDeployment, landed: str, what: str) -> None:
    with ui_deployment.client(None) as client:
        answer = client.get(landed.replace("preview", what))
    assert answer.status_code == 401


@pytest.mark.parametrize("what", ["preview", "poster"])
def test_who_may_not_read_the_xcom_gets_nothing(ui_deployment: UiDeployment, landed: str, what: str) -> None:
    with ui_deployment.client("outsider") as client:
        answer = client.get(landed.replace("preview", what))
    assert answer.status_code == 403


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJhZG1pbiJ9."])
def test_a_forged_session_gets_nothing(ui_deployment: UiDeployment, landed: str, token: str) -> None:
    by_cookie = httpx.get(ui_deployment.url + landed, cookies={"_token": token})
    by_header = httpx.get(ui_deployment.url + landed, headers={"Authorization": f"Bearer {token}"})
    assert {by_cookie.status_code, by_header.status_code} == {403}


def test_a_bearer_token_counts_as_a_cookie_does(ui_deployment: UiDeployment, landed: str) -> None:
    codes = {
        name: httpx.get(
            ui_deployment.url + landed, headers={"Authorization": f"Bearer {ui_deployment.login(name)}"}
        ).status_code
        for name in ("admin", "outsider")
    }
    assert codes == {"admin": 200, "outsider": 403}


def test_settings_need_a_session(ui_deployment: UiDeployment) -> None:
    with ui_deployment.client(None) as nobody, ui_deployment.client("outsider") as outsider:
        assert nobody.get("/orvideo/api/settings").status_code == 401
        assert outsider.get("/orvideo/api/settings").json()["preview"] is True


@pytest.mark.parametrize("token", [None, "x"])
def test_a_page_without_a_session_leads_to_the_login_and_back(ui_deployment: UiDeployment, token: str | None) -> None:
    page = "/orvideo/pages/video?dag_id=films&run_id=a%2Bb"
    with httpx.Client(base_url=ui_deployment.url, cookies={"_token": token} if token else {}) as client:
        first = client.get(page)
        assert first.status_code == 307
        assert first.headers["location"] == f"/api/v2/auth/login?next={quote(page, safe='')}"
        second = client.get(first.headers["location"])
    assert second.status_code == 307
    assert unquote(second.headers["location"]).startswith("/auth/login?next=/orvideo/pages/video?dag_id=films")


def test_pages_let_nothing_run_but_their_own_modules(admin: httpx.Client) -> None:
    for name in ("gallery", "video"):
        answer = admin.get(f"/orvideo/pages/{name}")
        assert (answer.status_code, answer.headers["x-content-type-options"]) == (200, "nosniff")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "media-src 'self';" in policy
        assert "frame-ancestors 'self'" in policy
    assert admin.get("/orvideo/pages/other").status_code == 422
    assert admin.get("/orvideo/pages/..%2Fvideo").status_code == 404


@pytest.mark.parametrize("path", ["../app.py", "..%2Fapp.py", "%2e%2e/app.py", "....//app.py", "/etc/passwd", "."])
def test_static_files_are_those_of_the_folder_only(admin: httpx.Client, path: str) -> None:
    answer = admin.get(f"/orvideo/static/{path}")
    assert answer.status_code == 404


# ── How ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_video_can_only_be_read(admin: httpx.Client, landed: str, method: str) -> None:
    assert admin.request(method, landed).status_code == 405


def test_a_video_says_what_it_is_and_nothing_else(admin: httpx.Client, landed: str) -> None:
    answer = admin.head(landed)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(admin.get(landed).content))
    assert answer.headers["content-disposition"] == 'inline; filename="film-0.mp4"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-99", 0, 100),
        ("bytes=1000-", 1000, None),
        ("bytes=-100", -100, None),
        ("bytes=100-99999999999999999999", 100, None),
    ],
)
def test_a_part_is_served(admin: httpx.Client, landed: str, header: str, start: int, end: int | None) -> None:
    whole = admin.get(landed).content
    answer = admin.get(landed, headers={"Range": header})
    assert (answer.status_code, answer.content) == (206, whole[start:end])
    offset = start if start >= 0 else len(whole) + start
    last = offset + len(answer.content) - 1
    assert answer.headers["content-range"] == f"bytes {offset}-{last}/{len(whole)}"


@pytest.mark.parametrize(
    "header",
    ["bytes=99999999-", "bytes=5-2", "bytes=-0", "bytes=-5--2", "bytes=0-0,2-3", "bytes=x", f"bytes={'9' * 5000}-"],
)
def test_a_bad_range_is_refused(admin: httpx.Client, landed: str, header: str) -> None:
    answer = admin.get(landed, headers={"Range": header})
    assert answer.status_code == 416
    assert answer.headers["content-range"].startswith("bytes */")


def test_a_part_of_another_file_is_not_mixed_in(admin: httpx.Client, landed: str) -> None:
    etag = admin.head(landed).headers["etag"]
    assert admin.get(landed, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert admin.get(landed, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).status_code == 200
    assert admin.get(landed, headers={"If-None-Match": etag}).status_code == 304


def test_a_still_image_is_served(admin: httpx.Client, landed: str) -> None:
    answer = admin.get(landed.replace("preview", "poster"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert answer.headers["cache-control"] == "private, max-age=300"
    etag = answer.headers["etag"]
    again = admin.get(landed.replace("preview", "poster"), headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


# ── What ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ({"index": 1}, 404),
        ({"index": 10**9}, 404),
        ({"index": -1}, 422),
        ({"map_index": 3}, 404),
        ({"map_index": -1}, 404),
        ({"map_index": -2}, 422),
        ({"task_id": "submit"}, 404),
        ({"task_id": "~"}, 404),
        ({"task_id": ".."}, 404),
        ({"task_id": "download%2F..%2Fsubmit"}, 404),
        ({"task_id": "%3Fdag_id%3Dfilms"}, 404),
    ],
)
def test_what_was_not_landed_is_not_there(
    ui_deployment: UiDeployment, admin: httpx.Client, place: dict[str, Any], code: int
) -> None:
    assert admin.get(preview_path(ui_deployment.runs["landed"], **place)).status_code == code


@pytest.mark.parametrize("run", [("~", "~"), ("films", "~"), ("no_such_dag", "x"), ("films", "no_such_run")])
def test_any_is_no_task_instance(admin: httpx.Client, run: tuple[str, str]) -> None:
    assert admin.get(preview_path(run)).status_code == 404


class Forgery:
    """Writes what it likes into the XCom of a task of ``films_forged``, and files into the folder of the videos."""

    def __init__(self, deployment: UiDeployment) -> None:
        self.deployment = deployment
        self.folder = deployment.videos / "forged"
        self.folder.mkdir(exist_ok=True)
        self.run = deployment.runs["forged"]
        self.path = preview_path(self.run, map_index=-1)
        self._entries = f"/dags/{self.run[0]}/dagRuns/{self.run[1]}/taskInstances/download/xcomEntries"

    def returns(self, value: object) -> None:
        """Let the task have returned this."""
        airflow = self.deployment.airflow
        try:
            airflow.api("PATCH", f"{self._entries}/return_value", json={"value": value, "map_index": -1})
        except RuntimeError as error:
            if "HTTP 404" not in str(error):
                raise
            body = {"key": "return_value", "value": value, "map_index": -1}
            airflow.api("POST", self._entries, json=body)

    def manifest(self, **file: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        """A real manifest with other values for its file."""
        manifest = self.deployment.manifest(0)
        manifest["files"][0].update(file)
        return manifest

    def file(self, name: str, content: bytes = b"\0" * 100, *, dag_id: str | None = "films_forged") -> Path:
        """Put a file into the folder, with a manifest that vouches for it, and let the task have returned that."""
        path = self.folder / name
        path.write_bytes(content)
        self.vouch(path, len(content), dag_id=dag_id)
        return path

    def vouch(self, path: Path, size: int, *, dag_id: str | None = "films_forged") -> None:
        """Put a manifest beside a path, and let the task have returned it."""
        file = LandedFile(uri=f"file://{path}", index=0, bytes=size, sha256="0" * 64, content_type="video/mp4")
        manifest = LandedManifest(job_id="gen-vid-1", status="completed", outputs=1, dag_id=dag_id, files=(file,))
        path.with_name(f"{path.name}.json").write_text(manifest.model_dump_json())
        self.returns(manifest.to_json())

    def get(self, **headers: str) -> httpx.Response:
        """Ask for the video as the administrator, who may read every XCom."""
        with self.deployment.client("admin") as client:
            return client.get(self.path, headers=headers)


@pytest.fixture
def forgery(ui_deployment: UiDeployment) -> Forgery:
    return Forgery(ui_deployment)


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1},
        "text",
        "{",
        ["file:///etc/passwd"],
        5,
        True,
        {"files": []},
        {"job_id": "x", "status": "completed", "files": []},
        {"job_id": "x", "status": "completed", "files": "file:///etc/passwd"},
        {"job_id": "x", "status": "completed", "files": [{"uri": 5}]},
        {"job_id": "x", "status": "completed", "files": [{"uri": "file:///etc/passwd", "index": 0}]},
        {"job_id": "x", "status": "completed", "files": {"0": {"uri": "file:///etc/passwd"}}},
    ],
)
def test_an_xcom_that_is_no_manifest_is_refused(forgery: Forgery, value: object) -> None:
    forgery.returns(value)
    assert forgery.get().status_code == 404


def test_a_huge_manifest_is_refused(forgery: Forgery) -> None:
    forgery.returns({**forgery.manifest(), "request": {"prompt": "x" * 2 * MIB}})
    assert forgery.get().status_code == 404


def test_a_video_of_another_dag_is_refused(forgery: Forgery) -> None:
    forgery.returns(forgery.manifest())
    answer = forgery.get()
    assert answer.status_code == 403
    assert "another DAG" in answer.json()["detail"]


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "file://{videos}/../airflow/passwords.json",
        "file://{videos}/%2e%2e/airflow/passwords.json",
        "file://{videos}/..%2fairflow/passwords.json",
        "file://{videos}/..\\airflow\\passwords.json",
        "file://{videos}/./film.mp4",
        "file://{videos}-evil/film.mp4",
        "file://{videos}",
        "file://localhost{videos}/film.mp4",
        "file://aws_default@{videos}/film.mp4",
        "http://127.0.0.1:1/film.mp4",
        "https://films.example/film.mp4",
        "s3://bucket/film.mp4",
        "s3://bucket-evil{videos}/film.mp4",
        "s3://a b@bucket/film.mp4",
        "simplecache::file://{videos}/film.mp4",
        "file://{videos}/film.mp4::file:///etc/passwd",
        "file://{videos}/film.mp4?x=1",
        "",
    ],
)
def test_an_address_elsewhere_is_refused(forgery: Forgery, uri: str) -> None:
    videos = forgery.deployment.videos
    evil = videos.with_name("videos-evil")
    evil.mkdir(exist_ok=True)
    (evil / "film.mp4").write_bytes(b"secret")
    forgery.returns(forgery.manifest(uri=uri.format(videos=videos)))
    answer = forgery.get()
    assert answer.status_code == 403
    assert "secret" not in answer.text


def test_a_file_that_nothing_vouches_for_is_refused(forgery: Forgery) -> None:
    (forgery.folder / "secret.mp4").write_bytes(b"secret")
    (forgery.folder / "secret.mp4.json").unlink(missing_ok=True)
    forgery.returns(forgery.manifest(uri=f"file://{forgery.folder}/secret.mp4", bytes=6))
    answer = forgery.get()
    assert answer.status_code == 403
    assert "no manifest beside it" in answer.json()["detail"]


def test_a_manifest_that_vouches_for_another_file_does_not_count(forgery: Forgery) -> None:
    forgery.file("film.mp4")
    manifest = LandedManifest.model_validate_json((forgery.folder / "film.mp4.json").read_bytes()).to_json()
    for change in ({"sha256": "1" * 64}, {"bytes": 99}, {"poster_uri": "file:///etc/passwd"}):
        forgery.returns({**manifest, "files": [{**manifest["files"][0], **change}]})
        assert forgery.get().status_code == 403


@pytest.mark.parametrize("kind", ["text/html", "video/mp4; x=<script>", "image/svg+xml", "application/json", ""])
def test_what_is_no_video_by_name_is_refused(forgery: Forgery, kind: str) -> None:
    forgery.file("film.mp4")
    manifest = LandedManifest.model_validate_json((forgery.folder / "film.mp4.json").read_bytes()).to_json()
    manifest["files"][0]["content_type"] = kind
    forgery.returns(manifest)
    assert forgery.get().status_code == 403


def test_a_link_out_of_the_folder_is_refused(forgery: Forgery) -> None:
    secret = forgery.deployment.videos.with_name("secret.mp4")
    secret.write_bytes(b"secret")
    link = forgery.folder / "link.mp4"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    forgery.vouch(link, 6)
    answer = forgery.get()
    assert answer.status_code == 403
    assert "by a link" in answer.json()["detail"]


def test_a_folder_that_is_a_link_out_is_refused(forgery: Forgery) -> None:
    outside = forgery.deployment.videos.with_name("outside")
    outside.mkdir(exist_ok=True)
    (outside / "film.mp4").write_bytes(b"secret")
    folder = forgery.folder / "folder"
    if not folder.is_symlink():
        folder.symlink_to(outside)
    forgery.vouch(folder / "film.mp4", 6)
    assert forgery.get().status_code == 403


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_regular_file_is_refused_and_does_not_block(forgery: Forgery, kind: str) -> None:
    path = forgery.folder / f"{kind}.mp4"
    if not path.exists():
        os.mkfifo(path) if kind == "pipe" else path.mkdir()
    forgery.vouch(path, 0)
    assert forgery.get().status_code == 403


def test_a_file_that_changed_since_it_was_landed_is_not_shown_as_it(forgery: Forgery) -> None:
    path = forgery.file("film.mp4", b"\0" * 100)
    path.write_bytes(b"\0" * 101)
    assert forgery.get().status_code == 404
    path.unlink()
    assert forgery.get().status_code == 404


def test_a_file_name_cannot_write_headers(forgery: Forgery) -> None:
    forgery.file('f"; x=y; ü.mp4')
    answer = forgery.get()
    assert (answer.status_code, answer.headers["content-disposition"]) == (200, 'inline; filename="f_x_y_.mp4"')


def test_an_error_tells_nothing_of_the_address(forgery: Forgery) -> None:
    forgery.returns(forgery.manifest(uri="s3://some_conn@some-bucket/some-key"))
    text = forgery.get().text
    assert not [word for word in ("some_conn", "some-bucket", "some-key") if word in text]


# ── How much ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_many_readers_at_the_same_time_each_get_all_in_little_memory(forgery: Forgery) -> None:
    pattern = bytes(range(256)) * (32 * MIB // 256)
    forgery.file("big.mp4", pattern)
    expected = hashlib.sha256(pattern).hexdigest()
    deployment = forgery.deployment
    deployment.login("admin")
    process = deployment.airflow.processes["api-server"]
    forgery.get(Range="bytes=0-0")

    def read(_reader: int) -> str:
        digest = hashlib.sha256()
        with deployment.client("admin") as client, client.stream("GET", forgery.path) as answer:
            assert answer.status_code == 200
            for chunk in answer.iter_raw():
                digest.update(chunk)
        return digest.hexdigest()

    before = peak_memory(process.pid)
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(read, range(12))) == {expected}
    assert peak_memory(process.pid) - before < 150 * MIB  # twelve whole files would be 384 MiB


def test_clients_that_take_nothing_lose_their_place_and_can_go_on_later(forgery: Forgery) -> None:
    size = 32 * MIB
    path = forgery.file("slow.mp4", b"")
    with path.open("r+b") as file:
        file.truncate(size)  # a hole: no bytes on disk
    forgery.vouch(path, size)
    deployment = forgery.deployment
    token = deployment.login("admin")
    options = {"preview_max_streams": "2", "preview_stall_timeout": "3"}
    with deployment.another_server(**options) as url, deployment.client("admin", url) as client:

        def code() -> int:
            return client.get(forgery.path, headers={"Range": "bytes=0-9"}).status_code

        assert code() == 206
        stalled = [stalled_reader(url, forgery.path, token) for _ in range(2)]
        busy = client.get(forgery.path, headers={"Range": "bytes=0-9"})
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
        assert client.head(forgery.path).status_code == 200
        assert client.get("/api/v2/dags").status_code == 200
        wait_until("a free place", lambda: code() == 206, timeout=30)
        for reader in stalled:
            assert drained(reader) > size
        # Who goes away gives the place back at once, or the third would find none.
        for _ in range(6):
            stalled_reader(url, forgery.path, token).close()
            wait_until("a free place", lambda: code() == 206, timeout=2)


def test_the_preview_is_off_unless_prefixes_are_listed(ui_deployment: UiDeployment, landed: str) -> None:
    with ui_deployment.another_server(preview_allowed_prefixes="") as url:
        with ui_deployment.client("admin", url) as client:
            for path in (landed, landed.replace("preview", "poster")):
                answer = client.get(path)
                assert answer.status_code == 409
                assert "preview_allowed_prefixes" in answer.json()["detail"]
            settings = client.get("/orvideo/api/settings").json()
            assert settings["preview"] is False
            assert "preview_allowed_prefixes" in settings["how_to_enable"]
        with ui_deployment.client("outsider", url) as client:
            assert client.get(landed).status_code == 403


def test_everything_works_below_a_path_of_the_base_url(ui_deployment: UiDeployment, landed: str) -> None:
    with ui_deployment.another_server("/team/films") as url, ui_deployment.client("admin", url) as client:
        assert client.get(landed, headers={"Range": "bytes=0-9"}).status_code == 206
        assert client.get("/orvideo/pages/gallery").status_code == 200
        views = client.get("/api/v2/plugins").json()["plugins"][0]["external_views"]
        pages = {view["href"].partition("?")[0].removeprefix("/team/films/orvideo/pages/") for view in views}
        assert {"gallery"} <= pages <= {"gallery", "video"}  # Airflow 3.4 has a tab for the video, too
        with ui_deployment.client(None, url) as nobody:
            assert nobody.get(landed).status_code == 401
            to_login = nobody.get("/orvideo/pages/gallery").headers["location"]
        assert to_login == "/team/films/api/v2/auth/login?next=%2Fteam%2Ffilms%2Forvideo%2Fpages%2Fgallery"


def stalled_reader(url: str, path: str, token: str) -> socket.socket:
    """Ask for a video and read no more than the beginning of the answer."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.settimeout(30)
    reader.connect((parts.hostname, parts.port))
    reader.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\nCookie: _token={token}\r\n\r\n".encode()
    )
    assert reader.recv(15) == b"HTTP/1.1 200 OK"
    return reader


def drained(reader: socket.socket) -> int:
    """Read an answer to its end, close, and return how many bytes came."""
    count = 0
    with reader:
        while chunk := reader.recv(MIB):
            count += len(chunk)
    return count


def peak_memory(pid: int) -> int:
    """Return the sum of the peaks of a process and its children, in bytes."""
    pids, found = [pid], 0
    while pids:
        status = Path(f"/proc/{(pid := pids.pop())}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        found += int(line.split()[1]) * 1024
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return found
