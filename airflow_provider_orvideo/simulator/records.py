"""The long records that the small endpoints answer with, and bytes that are no video."""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow_provider_orvideo.simulator.jobs import COMPLETED, Job

PREFIX = "/api/v1"
_PERIODS = ("", "_daily", "_weekly", "_monthly")


def key(spent: Decimal, *, is_management: bool) -> dict[str, Any]:
    """``data`` of ``GET /key``."""
    usage = {f"usage{period}": float(spent) for period in _PERIODS}
    byok = {f"byok_usage{period}": 0 for period in _PERIODS}
    return {
        "label": "sk-or-test-...",
        "is_management_key": is_management,
        "is_provisioning_key": is_management,
        "limit": None,
        "limit_reset": None,
        "limit_remaining": None,
        "include_byok_in_limit": False,
        **usage,
        **byok,
        "is_free_tier": False,
        "expires_at": None,
        "creator_user_id": "user_simulator",
        "organization_id": None,
        "workspace_id": "00000000-0000-4000-8000-000000000000",
        "allowed_data_regions": ["global"],
        "free_model_daily_requests": {"used": 0, "limit": 1000, "remaining": 1000},
        "budgets": [],
        "effective_budget": None,
        "rate_limit": {"requests": -1, "interval": "10s", "note": "Deprecated."},
    }


def generation(job: Job, user_agent: str | None) -> dict[str, Any]:
    """``data`` of ``GET /generation`` for a completed job.

    A recorded live answer lacked the token counts of reasoning, caching and images and what follows searches; the
    specification and the official SDK require them, so they are here.
    """
    cost = 0.0 if job.cost is None else float(job.cost)
    took = round((job.finished or job.started) * 1000 - job.started * 1000)
    provider = job.order.model.id.partition("/")[0]
    call = {"endpoint_id": "simulated", "id": f"upstream-{job.id[-8:]}", "is_byok": job.is_byok, "latency": 341}
    return {
        "created_at": _iso(job.created_at),
        "model": job.order.model.slug,
        "app_id": 0,
        "external_user": job.request.get("user"),
        "streamed": False,
        "cancelled": False,
        "latency": 341,
        "moderation_latency": 0,
        "generation_time": took,
        "tokens_prompt": None,
        "tokens_completion": None,
        "native_tokens_prompt": None,
        "native_tokens_completion": None,
        "native_tokens_completion_images": None,
        "native_tokens_reasoning": None,
        "native_tokens_cached": None,
        "num_media_prompt": None,
        "num_media_completion": None,
        "num_input_audio_prompt": None,
        "num_search_results": None,
        "num_fetches": None,
        "web_search_engine": None,
        "origin": "https://openrouter.ai/",
        "is_byok": job.is_byok,
        "finish_reason": "complete",
        "native_finish_reason": "complete",
        "service_tier": None,
        "usage": cost,
        "router": None,
        "user_agent": user_agent,
        "http_referer": None,
        "request_id": None,
        "session_id": job.request.get("session_id"),
        "preset_id": None,
        "api_type": "video",
        "id": job.id,
        "upstream_id": call["id"],
        "provider_responses": [
            {**call, "model_permaslug": job.order.model.slug, "provider_name": provider, "status": 200}
        ],
        "total_cost": cost,
        "cache_discount": None,
        "upstream_inference_cost": 0,
        "provider_name": provider,
        "response_cache_source_id": None,
        "data_region": "global",
        "workspace_id": "00000000-0000-4000-8000-000000000000",
    }


def content_urls(job: Job, origin: str) -> list[str]:
    """``unsigned_urls`` of a completed job."""
    return [f"{origin}{PREFIX}/videos/{job.id}/content?index={index}" for index in range(job.outputs)]


def usage(job: Job) -> dict[str, Any]:
    """``usage`` of a completed job."""
    return {"cost": None if job.cost is None else float(job.cost), "is_byok": job.is_byok}


def event(job: Job) -> dict[str, Any]:
    """The body of a webhook about a job that is over, as OpenRouter's guide shows it."""
    data: dict[str, Any] = {
        "id": job.id,
        "status": job.status,
        "generation_id": job.id,
        "model": job.order.model.id,
    }
    if job.status == COMPLETED:
        data |= {"unsigned_urls": content_urls(job, job.origin), "usage": usage(job)}
    else:
        data["error"] = job.error
    return {"type": f"video.generation.{job.status}", "created_at": _iso(job.finished_at or 0), "data": data}


def _iso(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def garbage(length: int) -> bytes:
    """Bytes that look like nothing, always the same."""
    return hashlib.shake_256(b"not a video").digest(length)
