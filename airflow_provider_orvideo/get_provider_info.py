"""What Airflow reads when it discovers providers. It runs in every Airflow process, so it imports nothing."""

from __future__ import annotations

TYPE_CHECKING = False  # mypy takes this for typing.TYPE_CHECKING; nothing is imported to say so
if TYPE_CHECKING:
    from typing import Any

_INTEGRATION = "OpenRouter Video"


def _modules(*names: str) -> list[dict[str, Any]]:
    return [
        {
            "integration-name": _INTEGRATION,
            "python-modules": [f"airflow_provider_orvideo.{name}" for name in names],
        }
    ]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description in the shape of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-orvideo",
        "name": _INTEGRATION,
        "description": "Videos from OpenRouter's asynchronous API: paid once, landed whole, waited for free.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://openrouter.ai/docs",
                "tags": ["service", "ai", "video"],
            }
        ],
        "operators": _modules("operators.submit", "operators.download", "operators.generate", "operators.batch"),
        "task-decorators": [{"class-name": "airflow_provider_orvideo.decorators.orvideo_task", "name": "orvideo"}],
        "sensors": _modules("sensors.job"),
        "hooks": _modules("hooks.orvideo"),
        "triggers": _modules("triggers.job", "triggers.batch"),
        "extra-links": [
            "airflow_provider_orvideo.links.OpenRouterLink",
            "airflow_provider_orvideo.links.VideoLink",
        ],
        # Airflow 3.2 and later; 3.1 passes over it.
        "cli": ["airflow_provider_orvideo.cli.definition.get_commands"],
        "connection-types": [
            {
                "connection-type": "orvideo",
                "hook-class-name": "airflow_provider_orvideo.hooks.orvideo.OrVideoHook",
                "hook-name": _INTEGRATION,
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "port", "schema"],
                    "relabeling": {"password": "API key", "host": "Base URL"},
                    "placeholders": {
                        "password": "sk-or-…",
                        "host": "https://openrouter.ai/api/v1",
                    },
                },
                "conn-fields": {
                    "http_referer": {
                        "label": "HTTP-Referer",
                        "description": "Your site, for attribution on OpenRouter. Optional.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "title": {
                        "label": "Application title",
                        "description": "Your application's name, for attribution (X-OpenRouter-Title). Optional.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "categories": {
                        "label": "Categories",
                        "description": "At most two, comma separated, for example video-gen. Optional.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "connect_timeout": {
                        "label": "Connect timeout (s)",
                        "description": "Seconds to reach the server. Default 10.",
                        "schema": {"type": ["number", "null"], "minimum": 0.1},
                    },
                    "read_timeout": {
                        "label": "Read timeout (s)",
                        "description": "Seconds between two pieces of the answer to a read or download. Default 30.",
                        "schema": {"type": ["number", "null"], "minimum": 0.1},
                    },
                    "submit_timeout": {
                        "label": "Submit timeout (s)",
                        "description": "Seconds to wait for the answer to the paid submit. Giving up early leaves open "
                        "whether a job was made, so keep it generous. Default 120.",
                        "schema": {"type": ["number", "null"], "minimum": 0.1},
                    },
                    "proxy": {
                        "label": "Proxy URL",
                        "description": "HTTP proxy, with credentials if it needs any. Default: the environment's.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                    "max_requests_per_second": {
                        "label": "Most status reads per second",
                        "description": "For each triggerer. Default: no limit but the server's own, which is learned.",
                        "schema": {"type": ["number", "null"], "minimum": 0.1},
                    },
                    "allow_insecure_http": {
                        "label": "Allow plain http",
                        "description": "Let the API key travel unencrypted to a base URL that is not this machine. "
                        "Default: off.",
                        "schema": {"type": ["boolean", "null"], "default": False},
                    },
                },
            }
        ],
        "config": {
            "orvideo": {
                "description": "Settings of the OpenRouter Video provider.",
                "options": {
                    "spool_dir": {
                        "description": "Folder on the worker in which a download lies until it is verified. "
                        "Empty: the system's folder for temporary files. It needs room for the outputs of one job "
                        "that are downloaded at the same time.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/var/spool/orvideo",
                        "default": "",
                    },
                    "state_path": {
                        "description": "Folder in object storage for the pay-once records on Airflow 3.1 and 3.2, "
                        "which have no task state store, and on every version for budgets that tasks share "
                        "(run_budget_usd). Every worker must reach it. Empty: such budgets are refused, and on 3.1 and "
                        "3.2 retries may pay again. "
                        "With webhook_url, what webhooks say is kept there too, and the API server must reach it.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@my-bucket/orvideo-state",
                        "default": "",
                    },
                    "webhook_url": {
                        "description": "Address under which OpenRouter reaches this Airflow's /orvideo/webhook: public "
                        "and HTTPS. Orders carry it, so that the job of an order whose answer was lost reports its id. "
                        "Workers and API server need it, and state_path. Empty: no webhooks.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "https://airflow.example.com/orvideo/webhook",
                        "default": "",
                    },
                    "webhook_secret": {
                        "description": "Signing secret of the OpenRouter workspace, for the API server only. Calls "
                        "that are not signed with it are refused. Read again every minute. Empty: all calls are "
                        "refused.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "sensitive": True,
                        "example": None,
                        "default": "",
                    },
                    "cache_dir": {
                        "description": "Folder on the worker for the catalogue of models, which all tasks of this host "
                        "share. Empty: the system's folder for temporary files.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/var/cache/orvideo",
                        "default": "",
                    },
                    "cache_ttl": {
                        "description": "Seconds for which a copy of the catalogue of models counts as current.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "600",
                        "default": "3600",
                    },
                    "resume_grace": {
                        "description": "Seconds between a deferral and the first look at the job. A task that resumes "
                        "within a few seconds of its deferral can be marked failed by Airflow's scheduler, which still "
                        "has the end of the first part to process (apache/airflow issues 66374 and 72716). Videos take "
                        "longer than this anyway. 0 for tests that run without a scheduler.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "0",
                        "default": "10",
                    },
                    "input_image_max_bytes": {
                        "description": "Largest image from this machine or object storage, in bytes, that goes with a "
                        "request as a data URL, which is a third longer.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": "4194304",
                        "default": "10485760",
                    },
                    "input_url_ttl": {
                        "description": "Seconds, at most a week, for which the API can use the URLs that object "
                        "storage signs for the videos and audio files of a request.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": "43200",
                        "default": "14400",
                    },
                    "preview_allowed_prefixes": {
                        "description": "Folders in object storage from which the API server may play landed videos, "
                        "separated by commas or line ends, each with the id of its connection if videos land with one. "
                        "Whoever may read a DAG's XComs can then see the videos that this DAG landed there. The API "
                        "server reads with its own credentials and needs the storage's Airflow provider. Empty: no "
                        "preview.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@my-bucket/videos/, file:///srv/videos/",
                        "default": "",
                    },
                    "preview_redirect": {
                        "description": "Send the browser to a URL that the store signs for five minutes, where it can, "
                        "instead of streaming through the API server. Off by default: whoever gets hold of such a URL "
                        "can use it without Airflow, and each viewer's browser must reach the store.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": "True",
                        "default": "False",
                    },
                    "preview_max_streams": {
                        "description": "Videos that each API server process streams at the same time, with at most 1 "
                        "MiB of memory for each. Further ones are told to come back in 2 seconds.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": "64",
                        "default": "32",
                    },
                    "preview_stall_timeout": {
                        "description": "Seconds after which a stream whose viewer takes no data no longer counts among "
                        "preview_max_streams; it goes on when the viewer does.",
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": "60",
                        "default": "30",
                    },
                },
            }
        },
    }
