"""What to say when the simulator's optional dependencies are not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

INSTALL = "pip install 'airflow-provider-orvideo[simulator]'"
_EXTRA_PACKAGES = frozenset({"PIL", "av", "fastapi", "h11", "starlette", "uvicorn"})


@contextmanager
def explain_missing_extra() -> Iterator[None]:
    """Turn the failed import of an optional dependency into one that names the command which installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _EXTRA_PACKAGES:
            raise ImportError(f"The simulator needs {error.name!r}, which is not installed. Run: {INSTALL}") from error
        raise
