"""From addresses to what the API takes: images as ``data:`` URLs, video and audio as signed URLs, or a clear no."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import os
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import ConfigurationError, InputUnavailableError, RequestInvalidError
from airflow_provider_orvideo.inputs import storage
from airflow_provider_orvideo.inputs.resolve import LONGEST_URL_TTL, InputOptions, resolve
from airflow_provider_orvideo.inputs.settings import input_options
from airflow_provider_orvideo.inputs.written import written
from airflow_provider_orvideo.ledger.fingerprint import fingerprint, outline
from airflow_provider_orvideo.preflight.media_urls import media_violations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.inputs.conftest import Media, Put

    #: Stores something in a store whose signer is the given function, and returns its address.
    Signing = Callable[[Callable[..., Any], bytes], str]


def request_of(**values: Any) -> VideoRequest:  # noqa: ANN401 - an author's arguments
    return VideoRequest.build(**written({"model": "google/veo-3.1", "prompt": "a red boat", **values}))


def resolved(options: InputOptions | None = None, **values: Any) -> VideoRequest:  # noqa: ANN401
    """Resolve a request, and see that the API would find nothing wrong with its media."""
    request = resolve(request_of(**values), options or InputOptions())
    assert list(media_violations(request)) == []
    return request


def reference(request: VideoRequest) -> tuple[str, str]:
    (entry,) = request.to_wire()["input_references"]
    return entry["type"], entry[entry["type"]]["url"]


def refusal(**values: Any) -> str:  # noqa: ANN401
    with pytest.raises(RequestInvalidError) as caught:
        resolve(request_of(**values))
    return str(caught.value)


def content(url: str, media_type: str) -> bytes:
    head, _, payload = url.partition(",")
    assert head == f"data:{media_type};base64"
    return base64.b64decode(payload, validate=True)


_stores = itertools.count()


@pytest.fixture
def signing() -> Signing:
    """Make stores in memory that sign by a function."""

    def make(sign: Callable[..., Any], data: bytes) -> str:
        class Signing(MemoryFileSystem):  # type: ignore[misc]
            cachable = False
            store: dict[str, Any] = {}  # noqa: RUF012 - fsspec's own way
            pseudo_dirs = [""]  # noqa: RUF012

            def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> Any:  # noqa: ANN401
                return sign(path, expiration, **kwargs)

        fs = Signing()
        fs.pipe_file("/media/clip", data)
        conn_id = f"memory_{next(_stores)}"
        attach("memory", conn_id, fs=fs)
        return f"memory://{conn_id}@media/clip"

    return make


# ── Images ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "type_"), [("png", "png"), ("jpg", "jpeg"), ("webp", "webp"), ("gif", "gif")])
def test_an_image_in_s3_goes_with_the_request_under_its_true_media_type(
    name: str, type_: str, put: Put, media: Media
) -> None:
    address = put("a frame, called wrongly.mp4", media[name])
    request = resolved(frame_images=address, input_references=[address])
    assert request.frame_images is not None
    assert content(request.frame_images[0].image_url.url, f"image/{type_}") == media[name]
    kind, url = reference(request)
    assert kind == "image_url"
    assert content(url, f"image/{type_}") == media[name]


@pytest.mark.parametrize("scheme", ["", "file://", "local://"])
def test_so_does_an_image_on_this_machine(scheme: str, local: Put, media: Media) -> None:
    request = resolved(frame_images=[scheme + local("50% a.png", media["png"]), scheme + local("b", media["jpg"])])
    assert request.frame_images is not None
    assert [frame.frame_type for frame in request.frame_images] == ["first_frame", "last_frame"]
    urls = [frame.image_url.url for frame in request.frame_images]
    assert content(urls[0], "image/png") == media["png"]
    assert content(urls[1], "image/jpeg") == media["jpg"]


def test_what_the_api_can_read_itself_is_left_alone() -> None:
    request = request_of(
        frame_images=["https://h.example/a.png?sig=1", "data:image/png;base64,AA=="],
        input_references=["https://h.example/a.mp4", "http://h.example/a.mp3"],
    )
    assert resolve(request) is request
    assert resolve(request_of()) == request_of()


def test_the_rest_of_the_request_stays_as_it_is(local: Put, media: Media) -> None:
    request = resolved(frame_images=local("a.png", media["png"]), seed=4, input_references=["https://h.example/a.png"])
    before = request_of(seed=4, input_references=["https://h.example/a.png"])
    assert request.model_copy(update={"frame_images": None}) == before


def test_an_image_that_is_used_twice_is_read_once(put: Put, media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    address = put("a.png", media["png"])
    reads: list[str] = []
    fs = ObjectStoragePath(address).fs
    original = fs.cat_file

    def counted(path: str, **bounds: int) -> bytes:
        reads.append(path)
        data: bytes = original(path, **bounds)
        return data

    monkeypatch.setattr(fs, "cat_file", counted)
    resolved(frame_images=[address, address], input_references=address)
    assert len(reads) == 2  # its first bytes, and all of it


@pytest.mark.parametrize("where", ["put", "local"])
def test_an_image_may_be_as_large_as_the_cap_and_not_a_byte_larger(
    where: str, request: pytest.FixtureRequest, media: Media
) -> None:
    store: Put = request.getfixturevalue(where)
    data = media["png"] + bytes(5000)
    at, above = InputOptions(max_image_bytes=len(data)), InputOptions(max_image_bytes=len(data) - 1)
    address = store("a.png", data)
    frames = resolved(at, frame_images=address).frame_images
    assert frames is not None
    assert content(frames[0].image_url.url, "image/png") == data
    with pytest.raises(RequestInvalidError, match=f"{len(data)} bytes: at most {len(data) - 1} are sent") as caught:
        resolve(request_of(frame_images=address), above)
    assert "[orvideo] input_image_max_bytes" in str(caught.value)


def test_an_image_that_is_too_large_is_not_read(tmp_path: Path, media: Media) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(media["png"])
        file.truncate(2**40)  # a terabyte, none of which is on the disk
    assert f"{2**40} bytes: at most 10485760 are sent" in refusal(frame_images=str(path))


# ── Video and audio ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "kind"), [("mp4", "video_url"), ("webm", "video_url"), ("mp3", "audio_url"), ("wav", "audio_url")]
)
def test_video_and_audio_become_signed_urls_and_the_bytes_say_which(
    name: str, kind: str, signing: Signing, media: Media
) -> None:
    asked: list[tuple[str, int]] = []

    def sign(path: str, expiration: int) -> str:
        asked.append((path, expiration))
        return "https://media.store.example/clip?sig=5ec2e7"

    address = signing(sign, media[name])
    # Nothing in its name says what it is, so it was taken for an image until it was read.
    request = request_of(input_references=address)
    assert reference(request) == ("image_url", address)
    assert reference(resolve(request, InputOptions(url_ttl=60))) == (
        kind,
        "https://media.store.example/clip?sig=5ec2e7",
    )
    assert asked == [("/media/clip", 60)]
    # And so it is where the author wrote the very same type.
    entry = {"type": kind, kind: {"url": address}}
    assert reference(resolved(input_references=[entry]))[0] == kind


@pytest.fixture
def split_s3(s3_endpoint: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket of this test, read from the local S3 and signed for by s3fs as if it were at Amazon's.

    Only so can a test without a network see both halves: the real one has no bytes here, and the local one no HTTPS.
    """
    from s3fs import S3FileSystem  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra

    keys = {"key": "AKIATEST", "secret": "testing-secret-key", "skip_instance_cache": True}
    public = S3FileSystem(**keys, client_kwargs={"region_name": "eu-central-1"})

    class Split(S3FileSystem):  # type: ignore[misc]
        def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> str:  # noqa: ANN401
            url: str = public.sign(path, expiration=expiration, **kwargs)
            return url

    from airflow.sdk.io.store import _STORE_CACHE  # noqa: PLC0415 - what attach() keeps for the whole process

    monkeypatch.delitem(_STORE_CACHE, "s3-aws_split", raising=False)
    attach("s3", "aws_split", fs=Split(**keys, endpoint_url=s3_endpoint))
    return bucket.replace("aws_test", "aws_split")


def test_s3_signs_for_the_time_that_is_asked_for_and_serves_the_true_media_type(
    split_s3: str, put: Put, media: Media
) -> None:
    key = "clips/the boat?.bin"
    put(key, media["mp4"])
    kind, url = reference(resolved(input_references=f"{split_s3}/{key}"))
    assert kind == "video_url"
    parts = urlsplit(url)
    bucket = split_s3.rpartition("@")[2]
    assert (parts.scheme, parts.hostname) == ("https", f"{bucket}.s3.amazonaws.com")
    assert parts.path == "/clips/the%20boat%3F.bin"
    query = parse_qs(parts.query)
    assert query["X-Amz-Expires"] == ["14400"]
    assert query["response-content-type"] == ["video/mp4"]
    assert "X-Amz-Signature" in query


def test_a_signed_url_is_kept_nowhere_with_its_signature(split_s3: str, put: Put, media: Media) -> None:
    put("clip.mp4", media["mp4"])
    put("a.png", media["png"])
    request = resolved(input_references=f"{split_s3}/clip.mp4", frame_images=f"{split_s3}/a.png")
    kept = json.dumps(outline(request))
    assert "Amz" not in kept
    assert "base64" not in kept
    assert "Amz" not in repr(request)
    assert "base64" not in repr(request)


def test_an_emulators_address_is_refused_with_the_reason(put: Put, media: Media) -> None:
    said = refusal(input_references=put("clip.mp4", media["mp4"]))
    assert "(connection 'aws_test'), a video (video/mp4): the API fetches video and audio by HTTPS only" in said
    assert "the store signs for http://127.0.0.1, and the API fetches only by HTTPS from public addresses" in said
    assert "is this an emulator" in said
    assert "Signature" not in said


def test_a_store_in_a_private_network_is_refused_even_with_https(signing: Signing, media: Media) -> None:
    said = refusal(input_references=signing(lambda *_: "https://minio.internal/clip?sig=5ec2e7", media["mp4"]))
    assert "the store signs for https://minio.internal, and" in said
    assert "5ec2e7" not in said


def _raises(error: Exception) -> Callable[..., Any]:
    def sign(*_: object, **__: object) -> None:
        raise error

    return sign


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        (_raises(NotImplementedError("Sign is not implemented")), "this kind of store cannot sign"),
        # In the words of Google's library and of Azure's.
        (
            _raises(AttributeError("you need a private key to sign credentials. See https://h.example/?token=5ec2e7")),
            "its connection's credentials cannot sign: AttributeError: you need a private key to sign credentials.",
        ),
        (
            _raises(ValueError("Either user_delegation_key or account_key must be provided.")),
            "its connection's credentials cannot sign: ValueError: Either user_delegation_key or account_key must be",
        ),
        (lambda *_: "https://media.s3.amazonaws.com/clip", "the URL that the store gives is not signed"),
        (lambda *_: "https://media.s3.amazonaws.com/clip?versionId=1", "the URL that the store gives is not signed"),
        (lambda *_: None, "the store gives no URL"),
        (lambda *_: "https://[odd/5ec2e7", "the store gives no URL"),
        (lambda *_: "", "the store gives no URL"),
    ],
)
def test_a_store_that_cannot_sign_is_told_with_what_to_do(
    sign: Callable[..., Any], words: str, signing: Signing, media: Media
) -> None:
    said = refusal(input_references=signing(sign, media["mp3"]))
    assert f"no URL can be signed for it: {words}" in said
    assert said.endswith("or give an HTTPS URL.")
    assert "5ec2e7" not in said


def test_s3_without_credentials_signs_nothing_and_that_is_said() -> None:
    from s3fs import S3FileSystem  # noqa: PLC0415 - an extra

    attach("s3", "aws_nobody", fs=S3FileSystem(anon=True, skip_instance_cache=True))
    with pytest.raises(storage.UnusableError, match="is not signed, so the connection has no credentials"):
        storage.sign("s3://aws_nobody@media/clip.mp4", media_type="video/mp4", seconds=60)


def test_a_signer_that_cannot_be_reached_may_be_asked_again(signing: Signing, media: Media) -> None:
    address = signing(_raises(OSError("no route to https://iam.example/sign?token=5ec2e7")), media["mp4"])
    with pytest.raises(InputUnavailableError, match=r"OSError: no route to https://iam\.example/sign") as caught:
        resolve(request_of(input_references=address))
    assert "5ec2e7" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["mp4", "mp3"])
def test_video_and_audio_of_this_machine_are_refused_with_what_to_do(name: str, local: Put, media: Media) -> None:
    said = refusal(input_references=local("clip", media[name]))
    assert "on this machine: the API fetches video and audio by HTTPS only" in said
    assert "Put it into object storage whose connection can sign URLs" in said


def test_an_order_is_the_same_one_however_often_it_is_resolved(split_s3: str, put: Put, media: Media) -> None:
    put("clip.mp4", media["mp4"])
    put("a.png", media["png"])
    request = request_of(input_references=f"{split_s3}/clip.mp4", frame_images=f"{split_s3}/a.png")
    requests = [resolve(request, InputOptions(url_ttl=ttl)) for ttl in (60, 3600)]
    assert requests[0] != requests[1]
    assert len({fingerprint(each, conn_id="c", base_url="b") for each in requests}) == 1


# ── Not what the field takes ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_frame_must_be_an_image(local: Put, media: Media) -> None:
    said = refusal(frame_images=local("a.png", media["mp4"]))
    assert "'frame_images[0]' is " in said
    assert "a.png, which is a video (video/mp4): a frame must be an image" in said


@pytest.mark.parametrize(("written_as", "is_"), [("image_url", "mp4"), ("video_url", "png"), ("audio_url", "mp4")])
def test_a_type_that_the_author_wrote_must_agree_with_the_bytes(
    written_as: str, is_: str, signing: Signing, media: Media
) -> None:
    address = signing(lambda *_: "https://media.store.example/clip?sig=1", media[is_])
    said = refusal(input_references=[{"type": written_as, written_as: {"url": address}}])
    assert f"'input_references[0]' has the type '{written_as}', but " in said
    assert f"use '{'video_url' if is_ == 'mp4' else 'image_url'}', or give the address alone" in said


@pytest.mark.parametrize("where", ["put", "local"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "which is an empty file"),
        (b"<html>sign in</html>", "which holds an HTML page"),
        (b"\x89PNG", "which holds bytes that begin with 89 50 4e 47"),
        (b"iVBORw0KGgoAAAANSUhEUg", "which holds text"),
    ],
)
def test_what_is_no_medium_is_refused_with_what_was_found_and_what_is_allowed(
    where: str, data: bytes, words: str, request: pytest.FixtureRequest
) -> None:
    said = refusal(frame_images=request.getfixturevalue(where)("a.png", data))
    assert words in said
    assert "'frame_images[0]' is " in said
    assert "a.png" in said
    assert said.endswith("the field takes image: PNG, JPEG, WebP, GIF, AVIF or HEIC.")
    assert "iVBOR" not in said


def test_every_input_that_is_wrong_is_told_at_once(local: Put, media: Media) -> None:
    with pytest.raises(RequestInvalidError) as caught:
        resolve(
            request_of(
                frame_images=[local("a", b""), local("b", media["mp4"])],
                input_references=[local("c", media["mp3"]), local("d", media["png"])],
            )
        )
    fields = [problem.split("'")[1] for problem in caught.value.problems]
    assert fields == ["frame_images[0]", "frame_images[1]", "input_references[0]"]


def test_an_address_that_never_went_through_the_short_forms_is_looked_at_too() -> None:
    entry = {"type": "image_url", "image_url": {"url": "style.png"}}
    with pytest.raises(RequestInvalidError, match=r"'input_references\[0\]' is 'style.png', which names no place"):
        resolve(VideoRequest.build(model="m", input_references=[entry]))


# ── Not now ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def unavailable(address: str) -> str:
    with pytest.raises(InputUnavailableError) as caught:
        resolve(request_of(frame_images=address))
    said = str(caught.value)
    assert said.startswith("The video request was not sent, nothing was spent. 'frame_images[0]' is ")
    assert said.endswith("a retry reads it again.")
    return said


def test_a_missing_file_may_come_later(tmp_path: Path) -> None:
    assert "there is no such file on this worker" in unavailable(f"{tmp_path}/late.png")


def test_so_may_a_missing_object(bucket: str) -> None:
    assert "there is no such object or bucket" in unavailable(f"{bucket}/late.png")


def test_so_may_a_missing_bucket(bucket: str) -> None:
    assert "there is no such object or bucket" in unavailable(f"{bucket}-not/late.png")


def test_an_object_that_has_just_come_is_seen(bucket: str, put: Put, media: Media) -> None:
    unavailable(f"{bucket}/late.png")
    resolved(frame_images=put("late.png", media["png"]))


def test_a_store_that_nobody_installed_is_named() -> None:
    assert "nowhere" in unavailable("nowhere://conn@media/a.png").partition("cannot be used now: ")[2]


def test_a_store_that_cannot_be_reached_is_told_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {
        "conn_type": "aws",
        "login": "testing",
        "password": "testing-secret-key",
        "extra": {
            "endpoint_url": "http://127.0.0.1:9",
            "region_name": "us-east-1",
            "config_kwargs": {"retries": {"total_max_attempts": 1}},
        },
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_GONE", json.dumps(connection))
    said = unavailable("s3://aws_gone@media/a.png")
    assert "s3://media/a.png (connection 'aws_gone')" in said
    assert "testing" not in said


def test_a_file_that_changes_while_it_is_read_is_not_sent(
    local: Put, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = local("a.png", media["png"])
    read = storage.read

    def late(of: str, size: int) -> bytes:
        local("a.png", media["png"] * 2)
        return read(of, size)

    monkeypatch.setattr(storage, "read", late)
    assert "it changed while it was read" in unavailable(address)


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    path.mkdir() if what == "folder" else os.mkfifo(path)
    assert "it is a folder; name a file" if what == "folder" else "no regular file" in refusal(frame_images=str(path))


def test_a_folder_of_objects_is_refused(bucket: str, put: Put, media: Media) -> None:
    put("frames/a.png", media["png"])
    assert "it is a folder, not a file; name a file" in refusal(frame_images=f"{bucket}/frames")


def test_a_path_that_cannot_be_is_refused() -> None:
    assert "a character that no path can" in refusal(frame_images="/srv/a\0.png")


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def ours(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider"))


def test_no_content_and_no_signature_is_logged_or_raised(
    split_s3: str, put: Put, media: Media, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put("clip.mp4", media["mp4"])
    image = put("a.png", media["png"])
    request = request_of(frame_images=image, input_references=[f"{split_s3}/clip.mp4", put("b.mp4", media["mp4"])])
    with pytest.raises(RequestInvalidError) as caught:
        resolve(request)
    resolved(frame_images=image, input_references=[f"{split_s3}/clip.mp4"])
    logged = ours(caplog)
    assert "it goes with the request" in logged
    assert "the API gets a signed URL for 14400 s" in logged
    payload = base64.b64encode(media["png"]).decode()[:24]
    for text in (logged, "".join(traceback.format_exception(caught.value)), repr(caught.value)):
        for secret in (payload, "base64,", "X-Amz", "Signature", "testing-secret-key"):
            assert secret not in text


def test_credentials_in_an_address_are_not_told(media: Media) -> None:
    del media
    said = unavailable("nowhere://key:5ec2e7@media/a.png?sig=5ec2e7")
    assert "5ec2e7" not in said
    assert "nowhere://media/a.png" in said


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_settings_are_those_of_the_documentation() -> None:
    assert input_options() == InputOptions(max_image_bytes=10 * 2**20, url_ttl=4 * 3600)


def test_the_settings_can_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ORVIDEO__INPUT_IMAGE_MAX_BYTES", "7")
    monkeypatch.setenv("AIRFLOW__ORVIDEO__INPUT_URL_TTL", str(LONGEST_URL_TTL))
    assert input_options() == InputOptions(max_image_bytes=7, url_ttl=LONGEST_URL_TTL)


@pytest.mark.parametrize(
    ("option", "value"),
    [("input_image_max_bytes", "0"), ("input_url_ttl", "0"), ("input_url_ttl", str(LONGEST_URL_TTL + 1))],
)
def test_a_setting_that_cannot_be_kept_is_refused(option: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AIRFLOW__ORVIDEO__{option.upper()}", value)
    with pytest.raises(ConfigurationError, match=rf"\[orvideo\] {option} is '{value}'; it must be"):
        input_options()
