"""What inputs ask of a store, asked of every store: an image's bytes, and a URL for a video that the API can fetch."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from local_stores import missing_for_azure, missing_for_gcs

from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import InputUnavailableError, RequestInvalidError
from airflow_provider_orvideo.inputs import storage
from airflow_provider_orvideo.inputs.resolve import resolve
from airflow_provider_orvideo.inputs.written import written
from airflow_provider_orvideo.landing.publish import publish_bytes

if TYPE_CHECKING:
    from tests.stores.conftest import Store

# aiohttp would rather have a file than bytes; what the file systems give it is theirs to decide.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
CLIP = b"\0\0\0\x10ftypisom" + bytes(range(256)) * 40
#: Why no video can be sent from the stores of this machine: emulators speak HTTP, and their Cloud Storage no names.
NO_VIDEO = {
    "file": "on this machine: the API fetches video and audio by HTTPS only",
    "s3": "the store signs for http://127.0.0.1, and",
    "azure": "the store signs for http://127.0.0.1, and",
    "gcs": "cannot sign: ",
}


def resolved(**values: object) -> VideoRequest:
    return resolve(VideoRequest.build(**written({"model": "m", **values})))


def test_an_image_goes_with_the_request_from_every_store(store: Store) -> None:
    uri = f"{store.root}/deep/er/frame 1 (first)"
    publish_bytes(PNG, uri)
    frames = resolved(frame_images=uri).frame_images
    assert frames is not None
    assert frames[0].image_url.url == "data:image/png;base64," + base64.b64encode(PNG).decode()


def test_an_empty_object_is_seen_as_such_in_every_store(store: Store) -> None:
    publish_bytes(b"", f"{store.root}/empty.png")
    with pytest.raises(RequestInvalidError, match="which is an empty file"):
        resolved(frame_images=f"{store.root}/empty.png")


def test_nothing_and_a_locked_store_may_be_asked_again_in_every_store(store: Store) -> None:
    for address in filter(None, (f"{store.root}/late.png", f"{store.locked}/late.png", store.nowhere)):
        with pytest.raises(InputUnavailableError, match="a retry reads it again") as caught:
            resolved(frame_images=address)
        assert "c0rrect-h0rse" not in str(caught.value)


def test_a_video_is_refused_where_nothing_public_can_be_signed(store: Store) -> None:
    publish_bytes(CLIP, f"{store.root}/clip.mp4")
    with pytest.raises(RequestInvalidError) as caught:
        resolved(input_references=f"{store.root}/clip.mp4")
    assert NO_VIDEO[store.name] in str(caught.value)
    assert "sig=" not in str(caught.value).lower()


# ── The signers of the real stores, which need no network for it ─────────────────────────────────────────────────────


def signed(address: str) -> tuple[str, str, dict[str, list[str]]]:
    parts = urlsplit(storage.sign(address, media_type="video/mp4", seconds=600))
    assert parts.scheme == "https"
    return str(parts.hostname), parts.path, parse_qs(parts.query)


def connect(environ: pytest.MonkeyPatch, name: str, **fields: object) -> None:
    environ.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))


def test_amazon_is_signed_for(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"region_name": "eu-central-1", "config_kwargs": {"s3": {"addressing_style": "virtual"}}}
    connect(monkeypatch, "real_s3", conn_type="aws", login="AKIATEST", password="a-secret", extra=extra)
    host, path, query = signed("s3://real_s3@films/a b.mp4")
    assert (host, path) == ("films.s3.eu-central-1.amazonaws.com", "/a%20b.mp4")
    assert (query["X-Amz-Expires"], query["response-content-type"]) == (["600"], ["video/mp4"])


@pytest.mark.skipif(missing_for_azure() is not None, reason="needs make test-extras")
def test_azure_is_signed_for_with_an_account_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = base64.b64encode(b"a-secret").decode()
    extra = {"account_name": "filmstore"}
    connect(monkeypatch, "real_azure", conn_type="wasb", login="filmstore", password=key, extra=extra)
    host, path, query = signed("abfs://real_azure@films/a b.mp4")
    assert (host, path) == ("filmstore.blob.core.windows.net", "/films/a%20b.mp4")
    assert (query["sp"], query["rsct"]) == (["r"], ["video/mp4"])
    assert "sig" in query


@pytest.mark.skipif(missing_for_azure() is not None, reason="needs make test-extras")
def test_azure_is_not_signed_for_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"tenant_id": "00000000-0000-0000-0000-000000000001", "account_name": "filmstore"}
    host = "https://filmstore.blob.core.windows.net"
    connect(monkeypatch, "role_azure", conn_type="wasb", host=host, login="a", password="a-secret", extra=extra)
    with pytest.raises(storage.UnusableError, match=r"credentials cannot sign: .*account_key must be") as caught:
        signed("abfs://role_azure@films/a.mp4")
    assert "a-secret" not in str(caught.value)


@pytest.mark.skipif(missing_for_gcs() is not None, reason="needs make test-extras")
def test_google_is_signed_for_with_a_service_accounts_key(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - Airflow brings it
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "films",
        "client_email": "films@films.iam.gserviceaccount.com",
        "private_key": pem.decode(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    extra = {"keyfile_dict": json.dumps(account), "project": "films"}
    connect(monkeypatch, "real_gcs", conn_type="google_cloud_platform", extra=extra)
    host, path, query = signed("gs://real_gcs@films/a b.mp4")
    assert (host, path) == ("storage.googleapis.com", "/films/a%20b.mp4")
    assert query["response-content-type"] == ["video/mp4"]
    # Google's library turns the moment of expiry into seconds again, by a later look at the clock.
    assert 590 <= int(query["X-Goog-Expires"][0]) <= 600


@pytest.mark.skipif(missing_for_gcs() is not None, reason="needs make test-extras")
def test_google_is_not_signed_for_with_a_persons_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    person = {"type": "authorized_user", "client_id": "a", "client_secret": "a-secret", "refresh_token": "a-secret"}
    path = tmp_path_factory.mktemp("google") / "application_default_credentials.json"
    path.write_text(json.dumps(person))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    connect(monkeypatch, "person_gcs", conn_type="google_cloud_platform", extra={"project": "films"})
    with pytest.raises(storage.UnusableError, match=r"credentials cannot sign: .*need a private key") as caught:
        signed("gs://person_gcs@films/a.mp4")
    assert "a-secret" not in str(caught.value)
