"""Results of earlier orders, kept by the orders' fingerprints so that an identical order need not be paid again.

An opt-in: two identical orders are often meant to give two different videos. It is no lock either: identical orders
that run at the same time are each paid.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from airflow_provider_orvideo.exceptions import DestinationError, LedgerUnavailableError
from airflow_provider_orvideo.landing import media, sidecar
from airflow_provider_orvideo.landing.folders import spool_folder
from airflow_provider_orvideo.landing.land import manifest_of, there, with_poster
from airflow_provider_orvideo.landing.publish import Publisher, fetch, publish_bytes, read_bytes, require_usable, why
from airflow_provider_orvideo.manifests import LandedFile, LandedManifest

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_orvideo.landing.land import LandingOptions
    from airflow_provider_orvideo.landing.naming import Destination

log = logging.getLogger(__name__)

_KIND: Final = {container.content_type: container.extension for container in media.CONTAINERS}


class ResultCache:
    """Landed manifests by fingerprint, one small JSON file each.

    Args:
        uri: folder in object storage, as ``ObjectStoragePath`` takes it, or an absolute path.
    """

    def __init__(self, uri: str) -> None:
        self._folder = (f"file://{uri}" if uri.startswith("/") else uri).rstrip("/")

    def find(self, order: str) -> LandedManifest | None:
        """Return the result of an identical order, None for none.

        Args:
            order: the fingerprint.

        Raises:
            LedgerUnavailableError: the cache cannot be read, so nobody can tell whether the order is needless.
        """
        uri = self._uri(order)
        try:
            require_usable(uri)  # in a bucket that does not exist, nothing would ever be found or kept
            data = read_bytes(uri)
            return None if data is None else LandedManifest.model_validate_json(data)
        except ValidationError:
            log.warning("%s is no manifest that this provider can read; it is replaced by the next result.", uri)
            return None
        except DestinationError as error:
            # Not from the DestinationError, which says that the video is paid for.
            raise LedgerUnavailableError(
                f"The cache of results {self._folder} cannot be used: {why(error)}. Nothing was ordered. "
                "Mend its connection or leave 'result_cache' out, then run this task again."
            ) from (error.__cause__ or error)

    def keep(self, order: str, manifest: LandedManifest) -> None:
        """Keep a result. Never fails: the video has landed."""
        try:
            publish_bytes(json.dumps(manifest.to_json(), indent=2, ensure_ascii=False).encode(), self._uri(order))
        except DestinationError as error:
            log.warning("The result was not kept for identical orders: %s", why(error))

    def _uri(self, order: str) -> str:
        return f"{self._folder}/{order}.json"


def bring(earlier: LandedManifest, where: Destination, options: LandingOptions) -> LandedManifest | None:
    """Copy an earlier result to a destination, whole and verified as any landing; None where it is no longer there.

    Args:
        earlier: the result.
        where: the destination; what lies there already from the same job is not copied again.
        options: how to land.

    Raises:
        LandingError: the destination is untouched, or holds whole files only.
    """
    files = []
    with spool_folder(options.spool_dir) as folder:
        for file in earlier.files:
            found = there(earlier, file.index, where, options)
            found = found or _copied(earlier, file, where, options, folder / f"output-{file.index}")
            if found is None:
                return None
            files.append(found)
    origin = "/".join(str(part) for part in (earlier.dag_id, earlier.run_id, earlier.task_id))
    paid = {"reused_from": earlier.reused_from or origin, "total_cost_usd": 0.0}
    return manifest_of(earlier, files, where).model_copy(update=paid)


def _copied(
    earlier: LandedManifest, file: LandedFile, where: Destination, options: LandingOptions, spooled: Path
) -> LandedFile | None:
    try:
        digest = fetch(file.uri, spooled)
    except DestinationError as error:
        log.warning("The earlier result %s cannot be read: %s", file.uri, why(error))
        return None
    if digest != file.sha256:
        log.warning("The earlier result %s is %s.", file.uri, "another file by now" if digest else "gone")
        return None
    extension = _KIND.get(file.content_type, media.MP4.extension)
    uri = where.uri(file.index, extension, outputs=max(earlier.outputs, len(earlier.files)))
    copy = file.model_copy(update={"uri": uri, "poster_uri": None, "skipped": False})
    still = media.poster(spooled) if options.poster else None
    sidecar.make_way(earlier, copy, where)
    Publisher(uri).publish_file(spooled, uri, copy.content_type)
    if options.poster:
        copy = with_poster(copy, still)
    sidecar.write(manifest_of(earlier, [copy], where), copy)
    log.info("Landed %s: a copy of %s, sha256 %s.", uri, file.uri, file.sha256)
    return copy
