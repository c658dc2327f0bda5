"""The API's error answers: their texts, their metadata and their four shapes."""

import json
from typing import Any

from starlette.responses import JSONResponse, Response

FAILED_VALIDATION = {
    "routing_funnel": [{"step": "Initial Endpoints", "endpoint_count": 1}],
    "failed_routing_step": "Validate Video Parameters",
}

# What a fault rule answers when it names only a status.
TEXTS: dict[int, str] = {
    400: "Invalid request parameters",
    401: "User not found.",
    402: "Insufficient credits. Add more using https://openrouter.ai/credits",
    403: "Input was flagged by moderation",
    404: "No endpoints found matching your data policy",
    408: "Request timed out",
    409: "Conflict",
    410: "Gone",
    413: "Request payload too large",
    429: "Rate limit exceeded",
    499: "The caller cancelled the request",
    500: "Internal Server Error",
    502: "Provider returned error",
    503: "No provider is available to serve this request",
    524: "Request timed out. Please try again later.",
    529: "Provider returned error",
}
METADATA: dict[int, dict[str, Any]] = {
    402: {"limit_source": "openrouter_credits"},
    403: {
        "reasons": ["violence"],
        "flagged_input": "a simulated refusal",
        "provider_name": "Simulator",
        "model_slug": "simulated/model",
    },
    429: {
        "raw": "simulated rate limit",
        "provider_name": "Simulator",
        "is_byok": False,
        "limit_source": "upstream_provider_shared_pool",
    },
    502: {"provider_name": "Simulator", "raw": "simulated upstream failure"},
}
HTML_PAGE = (
    "<!DOCTYPE html><html><head><title>{status}: simulated gateway error</title></head>"
    "<body><h1>Error {status}</h1><p>The simulated gateway could not reach the origin.</p></body></html>"
)


class ApiError(Exception):
    """A request that the API refuses.

    Args:
        status: The HTTP status, repeated as ``error.code``.
        message: The text.
        metadata: Details, where the API gives some.
    """

    def __init__(self, status: int, message: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.metadata = metadata

    def response(self) -> Response:
        """The answer that the client sees."""
        return JSONResponse(envelope(self.status, self.message, self.metadata), self.status)


class ZodError(ApiError):
    """A request of the wrong shape: answered by the API's schema library, without a code.

    Args:
        issues: The library's findings; the client gets them as one string of JSON.
    """

    def __init__(self, issues: list[dict[str, Any]]) -> None:
        super().__init__(400, json.dumps(issues, indent=2, ensure_ascii=False))

    def response(self) -> Response:
        """The answer that the client sees."""
        return JSONResponse({"success": False, "error": {"name": "ZodError", "message": self.message}}, 400)


def envelope(status: int, message: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """The usual error body; the API writes the message before the code."""
    error: dict[str, Any] = {"message": message, "code": status}
    if metadata is not None:
        error["metadata"] = metadata
    return {"error": error}
