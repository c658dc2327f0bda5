"""How every command runs: which secrets it may read, where its log goes, and how it ends."""

from __future__ import annotations

import functools
import logging
import os
import sys
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Final, NoReturn

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.cli.answer import UsageError, say, show
from airflow_provider_orvideo.exceptions import OrVideoError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from airflow_provider_orvideo.cli.answer import Answer

#: Exit codes; 2 is argparse's own for a wrong command line.
FAILED: Final = 1
USAGE: Final = 2

#: Set, it lets hooks read connections from the metadata database; Airflow's own ``connections`` commands set it too.
_PROCESS_CONTEXT: Final = "_AIRFLOW_PROCESS_CONTEXT"
#: Longest message of an error that is not ours, in characters.
_SHOWN: Final = 500


def command(act: Callable[[Namespace], Answer]) -> Callable[[Namespace], None]:
    """Make a command of a function: print what it returns, and turn what it raises into a sentence and an exit code."""

    @functools.wraps(act)
    def run(args: Namespace) -> None:
        try:
            with _surroundings(verbose=args.verbose):
                answer = act(args)
            show(answer, args.output)
        except UsageError as error:
            _fail(str(error), USAGE)
        except OrVideoError as error:
            # Most of them speak to whoever reads a task's log.
            _fail(str(error).replace("run this task again", "run this command again"))
        except KeyboardInterrupt:
            _fail("Interrupted.")
        except BrokenPipeError:
            # Python must not stumble over that again when it flushes stdout at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _fail("The result could not be printed: whoever read it has gone.")
        except Exception as error:
            # Storage, secrets backends, Airflow itself: a person at a terminal gets a sentence from them too.
            if args.verbose:
                raise
            kind = type(error).__name__
            _fail(f"{kind}: {redact(str(error), limit=_SHOWN)} (--verbose shows where it happened)")
        if answer.problem is not None:
            _fail(answer.problem)

    return run


def _fail(sentence: str, code: int = FAILED) -> NoReturn:
    say(sentence)
    raise SystemExit(code)


@contextmanager
def _surroundings(*, verbose: bool) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(_metadata_database())
        stack.enter_context(_log_on_stderr())
        # For libraries that print.
        stack.enter_context(redirect_stdout(sys.stderr))
        if not verbose:
            before = logging.root.manager.disable
            logging.disable(logging.INFO)
            stack.callback(logging.disable, before)
        yield


@contextmanager
def _metadata_database() -> Iterator[None]:
    before = os.environ.get(_PROCESS_CONTEXT)
    os.environ[_PROCESS_CONTEXT] = "server"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_PROCESS_CONTEXT]
        else:
            os.environ[_PROCESS_CONTEXT] = before


@contextmanager
def _log_on_stderr() -> Iterator[None]:
    """Keep stdout for results. Airflow 3.3 does that itself for commands with ``--output``, 3.2 does not."""
    on_stdout = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout
    ]
    stdout = sys.stdout
    for handler in on_stdout:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in on_stdout:
            handler.setStream(stdout)
