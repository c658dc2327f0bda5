"""How a simulator behaves when no fault rule says otherwise."""

import ipaddress
import math
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _seconds(value: object) -> object:
    """Accept ``"manual"`` as a job time that never passes by itself."""
    return math.inf if value == "manual" else value


def _on_this_machine(origin: str) -> str:
    """Accept scheme, host and port of this machine: the simulator calls nobody else, whatever an order says."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here or parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("must be scheme, host and port of this machine, such as http://127.0.0.1:8080")
    return origin


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]


class SimulatorSettings(BaseModel):
    """The settings of one simulator; none can change while it runs.

    Source of what is like the live API: its answers recorded in September and October 2026, and OpenRouter's OpenAPI
    document of 2026-08-22.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    job_seconds: Seconds = Field(
        default=2.0, description="Seconds from acceptance to completion; inf or 'manual' waits for a call of finish()"
    )
    job_polls: int = Field(
        default=0, ge=0, description="Polls that are answered 'pending' however much time has passed"
    )
    in_progress_after: float | None = Field(
        default=None,
        ge=0,
        description="Seconds after which a waiting job says in_progress; the live API never did in autumn 2026",
    )
    submit_seconds: Seconds = Field(
        default=0.0, description="Seconds that a submit takes; live ones took 2.4 to 3.6 s in autumn 2026"
    )
    outputs: int = Field(default=1, ge=1, le=10, description="Videos per job")
    output_seconds: Seconds = Field(
        default=math.inf, description="Seconds after completion that the content stays readable; 410 afterwards"
    )
    absolute_urls: bool = Field(
        default=True, description="polling_url with its origin, as live, or only the path, as documented"
    )
    signed_urls: bool = Field(
        default=False, description="Completed jobs carry `urls` on a second origin, and `expires_at`"
    )
    signed_seconds: float = Field(default=3600.0, gt=0, description="Seconds that signed URLs can be used")
    generation_seconds: Seconds = Field(
        default=0.0, description="Seconds after completion that GET /generation answers 404"
    )
    generation_misses: int = Field(
        default=1, ge=0, description="GET /generation answers 404 this many times per job first"
    )
    fps: int = Field(
        default=24, ge=1, le=60, description="Frames per second of the rendered videos; never changes a price"
    )
    max_pixels: int | None = Field(
        default=None,
        ge=256,
        description="Render smaller than ordered, at most this many pixels a frame: for mass tests only",
    )
    render_workers: int = Field(default=2, ge=1, description="Videos rendered at the same time")
    cache_bytes: int = Field(
        default=256 * 2**20, ge=0, description="Bytes of rendered videos kept in memory; others are rendered again"
    )
    chunk_bytes: int = Field(default=64 * 2**10, ge=1, description="Bytes of a chunk of content")
    accepted_keys: tuple[str, ...] | None = Field(
        default=None, description="The only valid inference keys; by default everything that starts with sk-or-test-"
    )
    is_byok: bool = Field(default=False, description="Jobs run on the caller's own provider key: usage has no cost")
    total_credits: float = Field(
        default=100.0, description="US dollars that GET /credits says were bought; nothing is refused for lack of them"
    )
    credits_need_management_key: bool = Field(
        default=False, description="GET /credits refuses ordinary keys, as documented; live it does not"
    )
    webhook_origin: Annotated[str, AfterValidator(_on_this_machine)] | None = Field(
        default=None,
        description="Scheme, host and port that take the place of those of callback_url when a job ends; on this "
        "machine only. None: no webhook is sent",
    )
    webhook_secret: str | None = Field(
        default=None, repr=False, description="Secret that webhooks are signed with; None: they are not signed"
    )
    max_body_bytes: int = Field(
        default=100 * 2**20, ge=1, description="Bytes of the largest request; larger ones are answered 413"
    )
    log_size: int = Field(
        default=50_000,
        ge=1,
        description="Requests kept in memory besides the submits; no submit and no count is forgotten",
    )
