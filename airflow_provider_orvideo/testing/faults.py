"""What can go wrong, in the words of a DAG author. Each is one fault rule of the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow_provider_orvideo.simulator import Simulator

_SUBMIT: Final = "createVideos"
_POLL: Final = "getVideos"
_CONTENT: Final = "listVideosContent"
#: 4xx that do not say for certain that nothing was accepted.
_UNCLEAR: Final = frozenset({408, 499})


class Faults:
    """Mishaps on demand, for the simulator of the test.

    Each method adds one mishap and returns the id of its rule; ``orvideo_simulator.faults()`` lists the rules with the
    number of requests that each has hit. ``times`` is how many requests (or orders) it hits, None for all. ``prompt``
    confines it to orders whose prompt contains that text, which tells mapped tasks apart. Of two mishaps for the same
    kind of request, the one that was added first acts until its times are over.

    Args:
        simulator: the one to act on.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    # ── The order ────────────────────────────────────────────────────────────────────────────────────────────────────

    def rate_limit(self, *, times: int | None = 1, retry_after: float | None = None, prompt: str | None = None) -> str:
        """Refuse orders with 429; nothing is accepted.

        The provider sends the order again within the attempt, three times in all. Then the attempt fails, and
        Airflow's ``retries`` begin anew; nothing was spent.

        Args:
            times: orders that are refused. Default: 1.
            retry_after: seconds in the ``Retry-After`` header; None, the default, for no header.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        respond = {"status": 429, **({} if retry_after is None else {"retry_after": retry_after})}
        return self._add(_SUBMIT, times, prompt, respond=respond)

    def refuse(
        self, status: int = 400, message: str | None = None, *, times: int | None = None, prompt: str | None = None
    ) -> str:
        """Refuse orders; nothing is accepted, nothing is spent.

        The task fails for good. After 401 and 402 only the attempt fails, since a person may mend key or credits
        before the next.

        Args:
            status: a 4xx that says for certain that nothing was accepted. Default: 400.
            message: the API's words; None, the default, for its usual ones.
            times: orders that are refused; None, the default, for all.
            prompt: see `Faults`.

        Returns:
            Id of the rule.

        Raises:
            ValueError: the status is no clear refusal.
        """
        if not 400 <= status < 500 or status in _UNCLEAR:  # noqa: PLR2004 - the range of HTTP client errors
            raise ValueError(
                f"'status' is {status}; it must be a 4xx other than 408 and 499, which leave the outcome open. Use "
                "lose_answer(status=…) for an unknown outcome."
            )
        respond = {"status": status, **({} if message is None else {"message": message})}
        return self._add(_SUBMIT, times, prompt, respond=respond)

    def no_credits(self, *, times: int | None = None, prompt: str | None = None) -> str:
        """Refuse orders with 402: the account has no credits.

        The attempt fails and Airflow's ``retries`` try again; nothing was spent.

        Args:
            times: orders that are refused; None, the default, for all.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        return self.refuse(402, times=times, prompt=prompt)

    def refuse_by_moderation(
        self, *, accepted: bool = False, times: int | None = None, prompt: str | None = None
    ) -> str:
        """Let moderation refuse.

        The task fails for good: no retry sends the order again, whatever ``on_job_failure`` says.

        Args:
            accepted: False (default): the order is refused with 403, and costs nothing. True: it is accepted, and its
                job ends as ``failed`` with a text about content policy.
            times: orders that are refused; None, the default, for all.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        if accepted:
            return self.fail_job("The request was blocked by the content policy", times=times, prompt=prompt)
        return self.refuse(403, times=times, prompt=prompt)

    def lose_answer(self, *, status: int | None = None, times: int | None = 1, prompt: str | None = None) -> str:
        """Accept the order and lose the answer: a job exists and bills, and nobody learns its id.

        The task fails for good, and no attempt orders again: a person must look, then adopt the job or delete the
        record. ``on_ambiguous_submit="resubmit"`` lets retries order, and pay, again.

        Args:
            status: None (default): the connection ends without an answer. 408, 499 or a 5xx: the answer says that,
                although the order was accepted.
            times: orders whose answer is lost; None for all. Default: 1.
            prompt: see `Faults`.

        Returns:
            Id of the rule.

        Raises:
            ValueError: the status would be a clear refusal, or a success.
        """
        if status is None:
            return self._add(_SUBMIT, times, prompt, drop={"when": "after"})
        if not 500 <= status < 600 and status not in _UNCLEAR:  # noqa: PLR2004 - the range of HTTP server errors
            raise ValueError(f"'status' is {status}; it must be 408, 499 or a 5xx. Use refuse({status}) for a refusal.")
        return self._add(_SUBMIT, times, prompt, respond={"status": status, "when": "after"})

    # ── The job ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def fail_job(
        self,
        error: str = "The provider could not generate this video",
        *,
        status: str = "failed",
        times: int | None = None,
        prompt: str | None = None,
    ) -> str:
        """Accept orders and end their jobs without a video.

        The task fails for good; Airflow's ``retries`` do not buy another, unless ``on_job_failure="resubmit"``.

        Args:
            error: the job's error text. One that speaks of moderation counts as a refusal.
            status: ``failed`` (default), ``cancelled`` or ``expired``.
            times: orders whose jobs fail; None, the default, for all.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        return self._add(_SUBMIT, times, prompt, job={"outcome": status, "error": error})

    def slow_job(self, seconds: float, *, times: int | None = None, prompt: str | None = None) -> str:
        """Let jobs take that long, in real seconds; ``orvideo_simulator.advance(seconds)`` lets them pass at once.

        The provider goes on waiting.

        Args:
            seconds: real seconds from the order to its end.
            times: orders whose jobs are slow; None, the default, for all.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        return self._add(_SUBMIT, times, prompt, job={"seconds": seconds})

    def never_finish(self, *, times: int | None = None, prompt: str | None = None) -> str:
        """Let jobs stay unfinished.

        The task waits until its ``timeout``, which ``orvideo_run`` cuts short, and fails; retries re-attach to the job
        and order nothing. ``orvideo_simulator.finish(job_id)`` ends a job after all.

        Args:
            times: orders whose jobs never end; None, the default, for all.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        return self._add(_SUBMIT, times, prompt, job={"seconds": "manual"})

    def poll_errors(self, times: int | None = 1, *, status: int = 502, prompt: str | None = None) -> str:
        """Answer status reads with an error.

        A failed poll is not a failed job: the provider goes on at growing intervals until the deadline. 429 and 503
        also slow down all reads of that connection, here too. After 401 a trigger reads the connection again and asks
        once more. Then, and after 403 and 410 at once, the attempt fails, and a retry re-attaches.

        Args:
            times: reads that fail; None for all. Default: 1.
            status: HTTP status of the answers. Default: 502.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        return self._add(_POLL, times, prompt, respond={"status": status})

    # ── The video ────────────────────────────────────────────────────────────────────────────────────────────────────

    def cut_download(self, times: int | None = 1, *, prompt: str | None = None) -> str:
        """Cut downloads off half-way.

        The provider starts the file again within the attempt, four times in all. Then the attempt fails with the
        destination untouched, and Airflow's ``retries`` download again. Nothing is ordered.

        Args:
            times: downloads that are cut; None for all. Default: 1.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        return self._add(_CONTENT, times, prompt, content={"truncate": 0.5})

    def broken_video(self, times: int | None = None, *, prompt: str | None = None) -> str:
        """Send bytes that are no video.

        The attempt fails with the destination untouched, and Airflow's ``retries`` download again.

        Args:
            times: downloads that bring no video; None, the default, for all.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        return self._add(_CONTENT, times, prompt, content={"garbage": True})

    def video_gone(self, *, times: int | None = None, prompt: str | None = None) -> str:
        """Complete jobs whose outputs are no longer kept: downloads are answered 410.

        The download fails, and says that only a new video helps. Nothing is ordered.

        Args:
            times: orders whose outputs are gone; None, the default, for all.
            prompt: see `Faults`.

        Returns:
            Id of the rule.
        """
        return self._add(_SUBMIT, times, prompt, job={"gone": True})

    # ── All of them ──────────────────────────────────────────────────────────────────────────────────────────────────

    def clear(self) -> None:
        """Let nothing go wrong any more; jobs that exist end as they were meant to."""
        self._simulator.clear_faults()

    def _add(self, operation: str, times: int | None, prompt: str | None, **action: Any) -> str:  # noqa: ANN401 - JSON
        match = {"operation": operation, **({} if prompt is None else {"prompt_contains": prompt})}
        return self._simulator.add_fault({"match": match, "times": times, **action})
