"""A local server that speaks OpenRouter's video API, renders real MP4 files and fails on demand.

It exists so that everything else in this package can be tested, demonstrated and measured without a key, without
spending money and without the network. It shares no code with the client it judges.

    python -m airflow_provider_orvideo.simulator --port 8791

or, inside a test::

    from airflow_provider_orvideo.simulator import Simulator, SimulatorSettings

    with Simulator(SimulatorSettings(job_seconds=0.2)) as sim:
        ...  # a client with base URL ``sim.base_url`` and any key that starts with ``sk-or-test-``
        assert sim.posts == 1

Importing this package is cheap: the names below load FastAPI, uvicorn, PyAV and Pillow only when they are used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator.server import Simulator
    from airflow_provider_orvideo.simulator.settings import SimulatorSettings

__all__ = ["Simulator", "SimulatorSettings"]

_HOMES = {"Simulator": "server", "SimulatorSettings": "settings"}


def __getattr__(name: str) -> object:
    """Load a public name on first use, and say what to install where the extra is missing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - the package must stay light for those who only look at it

    from airflow_provider_orvideo.simulator._extra import explain_missing_extra  # noqa: PLC0415 - same

    with explain_missing_extra():
        home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
