"""The commands and their arguments. Airflow 3.2 and later read this at each ``airflow …``, so it imports nothing else.

Airflow 3.1 knows no commands of providers and passes over the ``cli`` entry of the provider's description.
"""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from typing import Final

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ARG_YES,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
    positive_int,
)

#: What ``--supports`` can ask for; those with an example need a value.
CAPABILITIES: Final = {
    "duration": "duration=8",
    "resolution": "resolution=1080p",
    "aspect_ratio": "aspect_ratio=9:16",
    "size": "size=1280x720",
    "frames": "frames=last_frame",
    "audio": "",
    "seed": "",
}

# ── Arguments ────────────────────────────────────────────────────────────────────────────────────────────────────────


def capability(text: str) -> tuple[str, str]:
    """Read one ``--supports``.

    Raises:
        ArgumentTypeError: no such capability, or it lacks its value, or has one and takes none.
    """
    name, separator, value = (part.strip() for part in text.partition("="))
    known = ", ".join(example or name for name, example in CAPABILITIES.items())
    if name not in CAPABILITIES or bool(value) != bool(CAPABILITIES[name]) or bool(separator) != bool(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no capability; write one of {known}")
    if name == "duration" and not (value.isascii() and value.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} must be whole seconds, for example duration=8")
    return name, value


def parameter(text: str) -> tuple[str, str]:
    """Read one ``--param``.

    Raises:
        ArgumentTypeError: it is not ``name=value``.
    """
    name, separator, value = text.partition("=")
    if not name.strip() or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} must be name=value, for example creativity=2")
    return name.strip(), value


def amount(text: str) -> Decimal:
    """Read an amount of US dollars.

    Raises:
        ArgumentTypeError: it is no amount above 0.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be an amount of US dollars above 0, for example 1.50")
    return value


ARG_CONN_ID = Arg(("--conn-id",), help="Airflow connection of type orvideo (default: orvideo_default)")
ARG_PUBLIC_CONN_ID = Arg(
    ("--conn-id",),
    help="Airflow connection of type orvideo (default: orvideo_default; where there is none, OpenRouter's public "
    "catalogue is read without a key)",
)
ARG_JOB = Arg(("job",), help="Id of the job, or its manifest as JSON", metavar="JOB")
ARG_SUPPORTS = Arg(
    ("--supports",),
    help="Only models that support all of these: "
    + ", ".join(example or name for name, example in CAPABILITIES.items())
    + ". A model that does not tell is left out",
    action="extend",
    nargs="+",
    type=capability,
    default=[],
    metavar="CAPABILITY",
)

REQUEST_ARGS: Final = (
    Arg(("--model",), help="Model id, for example google/veo-3.1", required=True),
    Arg(("--prompt",), help="What to show"),
    Arg(("--duration",), help="Whole seconds", type=positive_int(allow_zero=False)),
    Arg(("--resolution",), help="For example 720p"),
    Arg(("--aspect-ratio",), help="For example 16:9"),
    Arg(("--size",), help="WIDTHxHEIGHT in pixels, instead of resolution and aspect ratio"),
    Arg(("--generate-audio",), help="Sound on or off (default: the model's)", choices=("true", "false")),
    Arg(("--seed",), help="For repeatable results where the model honours it", type=int),
    Arg(
        ("--param",),
        help="Any other field of the request as NAME=VALUE; lists and objects as JSON. May be repeated",
        action="append",
        type=parameter,
        default=[],
        metavar="NAME=VALUE",
    ),
)
ARG_MAX_COST = Arg(
    ("--max-cost-usd",), help="Order nothing that is estimated to cost more US dollars than this", type=amount
)
ARG_ON_UNKNOWN_COST = Arg(
    ("--on-unknown-cost",),
    help="What to do where the cost cannot be estimated (default: fail with --max-cost-usd, else allow)",
    choices=("allow", "fail"),
)
ARG_CHECK_BUDGET = Arg(
    ("--check-budget",), help="Ask what the key may still spend, and order nothing above it", action="store_true"
)

ARG_DESTINATION = Arg(
    ("--destination",),
    help="Folder, with a slash at its end, or file name: a path, or a URL such as s3://aws_default@bucket/videos/. "
    "Placeholders as in the download operator",
    required=True,
)
ARG_ON_EXISTING = Arg(
    ("--on-existing",),
    help="What to do where something lies there (default: verify)",
    choices=("verify", "overwrite", "fail", "skip"),
    default="verify",
)
ARG_POSTER = Arg(("--poster",), help="Put a still image beside each video", action="store_true")

ARG_PATH = Arg(("path",), help="Folder of landed videos: a path, or a URL such as s3://aws_default@bucket/videos/")
ARG_BY = Arg(
    ("--by",), help="What to group by (default: model)", choices=("model", "dag", "day", "run"), default="model"
)

# ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────

COMMANDS: Final = (
    ActionCommand(
        name="models",
        help="List the video models and what they support and cost",
        func=lazy_load_command("airflow_provider_orvideo.cli.models.models"),
        args=(ARG_SUPPORTS, ARG_PUBLIC_CONN_ID, ARG_OUTPUT, ARG_VERBOSE),
    ),
    ActionCommand(
        name="estimate",
        help="Tell whether a video is possible and what it will cost; orders nothing",
        func=lazy_load_command("airflow_provider_orvideo.cli.estimate.estimate"),
        args=(*REQUEST_ARGS, ARG_PUBLIC_CONN_ID, ARG_OUTPUT, ARG_VERBOSE),
    ),
    ActionCommand(
        name="submit",
        help="Order one video. This costs money",
        description=(
            "Order one video, outside of any DAG. This costs money: the estimate is shown, and you are asked.\n\n"
            "Nothing but the job id that this command prints remembers the job: no task, no pay-once record, and the\n"
            "API cannot list jobs. Keep the id. Running the command again orders and pays again; the request is sent\n"
            "once and never repeated by itself. A job cannot be cancelled."
        ),
        func=lazy_load_command("airflow_provider_orvideo.cli.submit.submit"),
        args=(
            *REQUEST_ARGS,
            ARG_MAX_COST,
            ARG_ON_UNKNOWN_COST,
            ARG_CHECK_BUDGET,
            ARG_YES,
            ARG_CONN_ID,
            ARG_OUTPUT,
            ARG_VERBOSE,
        ),
    ),
    ActionCommand(
        name="status",
        help="Show a job's status, cost and outputs",
        func=lazy_load_command("airflow_provider_orvideo.cli.jobs.status"),
        args=(ARG_JOB, ARG_CONN_ID, ARG_OUTPUT, ARG_VERBOSE),
    ),
    ActionCommand(
        name="fetch",
        help="Land the videos of a completed job; orders nothing",
        func=lazy_load_command("airflow_provider_orvideo.cli.jobs.fetch"),
        args=(ARG_JOB, ARG_DESTINATION, ARG_ON_EXISTING, ARG_POSTER, ARG_CONN_ID, ARG_OUTPUT, ARG_VERBOSE),
    ),
    ActionCommand(
        name="spend",
        help="Add up what landed videos cost, from the manifests beside them",
        func=lazy_load_command("airflow_provider_orvideo.cli.spend.spend"),
        args=(ARG_PATH, ARG_BY, ARG_OUTPUT, ARG_VERBOSE),
    ),
)


def get_commands() -> list[CLICommand]:
    """Return what the provider adds to ``airflow``."""
    return [GroupCommand(name="orvideo", help="Videos from OpenRouter's asynchronous API", subcommands=COMMANDS)]
