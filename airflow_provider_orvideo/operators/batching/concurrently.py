"""Does the same with many things, a few at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

T = TypeVar("T")


def each(work: Callable[[T], None], things: Collection[T], *, at_once: int) -> None:
    """Do some work with each thing, in several threads; returns when all is done.

    Args:
        work: must be safe in several threads; what it raises ends everything.
        things: what to do it with.
        at_once: how many threads, at most.

    Raises:
        BaseException: the first that ``work`` raised, or that came to this thread (Airflow's timeout). What is under
            way is finished first, since it may be a paid request; what was not begun is not done.
    """
    if not things:
        return
    pool = ThreadPoolExecutor(min(at_once, len(things)), thread_name_prefix="orvideo-batch")
    try:
        for done in as_completed([pool.submit(work, thing) for thing in things]):
            done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
