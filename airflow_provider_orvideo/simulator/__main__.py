"""The command line: ``python -m airflow_provider_orvideo.simulator``."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_orvideo.simulator._extra import explain_missing_extra

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator.server import Simulator
    from airflow_provider_orvideo.simulator.settings import SimulatorSettings

DEFAULT_PORT = 8791


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_orvideo.simulator",
        description="A local server that speaks OpenRouter's video API, renders real MP4 files and fails on demand.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port to bind, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument("--script", type=Path, metavar="FILE", help="JSON file with fault rules")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append every request as a line of JSON")
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="write the addresses there as JSON when ready")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, for example --set job_seconds=20 --set signed_urls=true; may be repeated",
    )
    parser.add_argument("--settings", action="store_true", help="list the settings and exit")
    return parser


def _settings(pairs: list[str], settings_class: "type[SimulatorSettings]") -> "SimulatorSettings":
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair}: expected NAME=VALUE")
        values[name] = tuple(text.split(",")) if name == "accepted_keys" else text
    return settings_class.model_validate(values)


def _describe(settings_class: "type[SimulatorSettings]") -> str:
    lines = [
        f"{name} = {field.default}\n    {field.description}" for name, field in settings_class.model_fields.items()
    ]
    return "\n".join(lines)


def _announce(simulator: "Simulator", ready_file: Path | None) -> None:
    """Say that the simulator is ready: the port is bound, so a client that connects now is answered."""
    if ready_file is not None:
        addresses = {
            "base_url": simulator.base_url,
            "control_url": simulator.control_url,
            "port": simulator.port,
            "pid": os.getpid(),
        }
        temporary = ready_file.with_name(f"{ready_file.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(addresses), encoding="utf-8")
        # Whoever waits for the file never sees half of it.
        temporary.replace(ready_file)
    sys.stdout.write(f"orvideo simulator on {simulator.base_url}\n")
    sys.stdout.flush()


def main(argv: list[str] | None = None) -> int:
    """Run a simulator until it is told to stop."""
    options = _parser().parse_args(argv)
    try:
        with explain_missing_extra():
            from airflow_provider_orvideo.simulator.server import Simulator  # noqa: PLC0415 - --help needs no extra
            from airflow_provider_orvideo.simulator.settings import SimulatorSettings  # noqa: PLC0415 - same
    except ModuleNotFoundError:
        raise
    except ImportError as error:
        sys.stderr.write(f"orvideo simulator: {error}\n")
        return 2
    if options.settings:
        sys.stdout.write(_describe(SimulatorSettings) + "\n")
        return 0
    try:
        settings = _settings(options.set, SimulatorSettings)
        script = json.loads(options.script.read_text(encoding="utf-8")) if options.script else []
        simulator = Simulator(settings, host=options.host, port=options.port, log_file=options.log, faults=script)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"orvideo simulator: {error}\n")
        return 2
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: simulator.stop())
    simulator.run(on_ready=lambda: _announce(simulator, options.ready_file))
    return 0


if __name__ == "__main__":
    sys.exit(main())
