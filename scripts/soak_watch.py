"""What `make soak` sees of processes: how much memory they hold, which of them are tasks, and which are left over."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING, Final

from local_hosts import family

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The title that Airflow gives to a process that runs a task; what follows is the task instance's id.
_TASK: Final = re.compile(rb"^airflow worker -- ([0-9a-f-]{36})")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
#: Seconds at the beginning of a process's life in which it may grow: imports, first connections.
WARM_UP: Final = 60.0
#: What counts as growing: so many MB per minute, over at least so many seconds after the warm-up.
GROWTH: Final = 2.0
WATCHED: Final = 180.0
_SET_CHILD_SUBREAPER: Final = 36


def adopt_orphans() -> None:
    """Become the parent of all descendants whose parents die, so that none is lost sight of."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def resident(pid: int) -> float | None:
    """Return the resident memory of a process in MB (of 1024 x 1024 bytes), None where it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20
    return None


def title(pid: int) -> bytes:
    """Return the command line of a process; nothing for one that is gone, or dead and not yet buried."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def tasks_below(pid: int) -> dict[int, str]:
    """Return the processes that run tasks among the descendants: the task instance's id, by process."""
    found = ((each, _TASK.match(title(each))) for each in family(pid))
    return {each: match[1].decode() for each, match in found if match}


def left_over(but: set[int]) -> list[str]:
    """Return the living descendants of this process, besides those that are named and theirs."""
    spared = {each for pid in but for each in family(pid)} | {os.getpid()}
    living = ((each, title(each)) for each in family(os.getpid()) if each not in spared)
    return [f"{each}: {name.replace(bytes(1), b' ').decode(errors='replace').strip()}" for each, name in living if name]


def kill(pid: int) -> bool:
    """Kill a process as the kernel does when memory runs out; return whether it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@dataclass
class Life:
    """The memory of one process, from its first sample to its last.

    Attributes:
        name: of what runs in it.
        at: seconds since the soak began.
        megabytes: at each of them.
    """

    name: str
    at: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    @property
    def slope(self) -> float | None:
        """MB per minute after the warm-up, None where too little was seen."""
        begun = self.at[0] + WARM_UP
        seen = [(at, held) for at, held in zip(self.at, self.megabytes, strict=True) if at >= begun]
        if len(seen) < 3:  # noqa: PLR2004 - two points are always on a line
            return None
        return linear_regression([at / 60 for at, _ in seen], [held for _, held in seen]).slope

    @property
    def is_growing(self) -> bool:
        """Whether it was watched long enough to say that it grows."""
        watched = self.at[-1] - self.at[0] - WARM_UP
        return watched >= WATCHED and (self.slope or 0.0) > GROWTH

    def __str__(self) -> str:
        """One line of the report."""
        slope = "watched too shortly" if self.slope is None else f"{self.slope:+.2f} MB a minute"
        return (
            f"{self.name:20} from {self.at[0]:5.0f} to {self.at[-1]:5.0f} s: first {self.megabytes[0]:4.0f} MB, "
            f"highest {max(self.megabytes):4.0f} MB, last {self.megabytes[-1]:4.0f} MB, {slope}"
        )


class Memory:
    """The memory of all that is watched, each process of a component a life of its own."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._lives: dict[tuple[str, int], Life] = {}

    def sample(self, watched: Mapping[str, int]) -> None:
        """Look at some processes, by name."""
        for name, pid in watched.items():
            if held := resident(pid):
                life = self._lives.setdefault((name, pid), Life(name))
                life.at.append(time.monotonic() - self._begun)
                life.megabytes.append(held)

    @property
    def lives(self) -> list[Life]:
        """All of them, by name and age."""
        return sorted(self._lives.values(), key=lambda life: (life.name, life.at[0]))
