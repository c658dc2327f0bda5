"""Faults on demand: rules that say which requests go wrong, how often, and how.

A rule is plain JSON, so that a script file, the control endpoint and a test write the same thing::

    {"match": {"operation": "createVideos"}, "times": 1, "respond": {"status": 503, "retry_after": 2}}
    {"match": {"operation": "createVideos"}, "times": 1, "drop": {"when": "after"}}
    {"match": {"operation": "getVideos"}, "per_job": true, "times": 3, "status": "queued_upstream"}
    {"match": {"operation": "sendWebhook"}, "times": 1, "webhook": {"signature": "forged"}}

A rule has at most one action, and optionally a delay. Rules are asked in the order in which they were added. Of each
kind of action the first that strikes acts, and the request is none of the business of younger rules of that kind: two
rules with ``"times": 1`` strike one request each. ``respond`` and ``drop`` are one kind. Delays add up.

``sendWebhook`` is a request that the simulator makes itself, so ``any`` does not mean it.
"""

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from airflow_provider_orvideo.simulator.answers import HTML_PAGE, METADATA, TEXTS, envelope
from airflow_provider_orvideo.simulator.settings import Seconds

Operation = Literal[
    "createVideos",
    "getVideos",
    "listVideosContent",
    "listVideosModels",
    "getKey",
    "getGeneration",
    "getCredits",
    "getStored",
    "sendWebhook",
    "any",
]
WEBHOOK = "sendWebhook"
When = Literal["before", "after"]
ACTIONS = ("respond", "drop", "content", "status", "job", "webhook")
# The operation that an action can change; the other actions can change every one.
FITTING = {"content": "listVideosContent", "status": "getVideos", "job": "createVideos", "webhook": WEBHOOK}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class Match(_Strict):
    """Which requests a rule is about; every field that is given must agree.

    Attributes:
        operation: Name of the operation. Default: ``any`` that comes in.
        model: The model that is ordered, or that the job was ordered from. Default: every one.
        job_id: The job that is named. Default: every one.
        prompt_contains: A part of the prompt of the request or the job. Default: every prompt.
        index: The output that is asked for, from 0. Default: every one.
    """

    operation: Operation = "any"
    model: str | None = None
    job_id: str | None = None
    prompt_contains: str | None = None
    index: int | None = None


class Delay(_Strict):
    """Wait before the request is acted upon, or after it was and before the answer.

    Attributes:
        seconds: How many seconds, at least 0.
        when: ``before`` (default) or ``after``.
    """

    seconds: float = Field(ge=0)
    when: When = "before"


class Respond(_Strict):
    """Answer with this instead of the real answer.

    ``when="after"`` lets the request take effect first: a submit creates its job, and the client is told otherwise.
    At most one of ``body``, ``text``, ``html`` and ``message`` is given; without any, the API's usual error is sent.

    Attributes:
        status: HTTP status, 200 to 599.
        when: ``before`` (default) or ``after`` the request takes effect.
        message: The error's text.
        metadata: The error's metadata, with ``message``.
        body: A whole JSON body.
        text: A plain text in place of JSON.
        html: Whether a page of HTML takes the place of JSON. Default: False.
        headers: Headers to add.
        retry_after: Seconds in the ``Retry-After`` header. Default: no header.
        retry_after_date: Seconds from now that the header tells as a date. Default: no header.
    """

    status: int = Field(ge=200, le=599)
    when: When = "before"
    message: str | None = None
    metadata: dict[str, Any] | None = None
    body: Any = None
    text: str | None = None
    html: bool = False
    headers: dict[str, str] = Field(default_factory=dict)
    retry_after: float | None = Field(default=None, ge=0)
    retry_after_date: float | None = None

    @model_validator(mode="after")
    def _one_body(self) -> "Respond":
        kinds = [self.body is not None, self.text is not None, self.html, bool(self.message or self.metadata)]
        if sum(kinds) > 1:
            raise ValueError("give one of: body, text, html, message (with metadata)")
        if self.retry_after is not None and self.retry_after_date is not None:
            raise ValueError(
                "give retry_after (seconds) or retry_after_date (seconds from now, sent as a date), not both"
            )
        return self

    def content(self) -> tuple[Any, str | None]:
        """The JSON body, or a text and its content type."""
        if self.html:
            return HTML_PAGE.format(status=self.status), "text/html; charset=UTF-8"
        if self.text is not None:
            return self.text, "text/plain; charset=utf-8"
        if self.body is not None:
            return self.body, None
        message = self.message or TEXTS.get(self.status, "Simulated error")
        metadata = self.metadata if self.message or self.metadata else METADATA.get(self.status)
        return envelope(self.status, message, metadata), None


class Drop(_Strict):
    """End the connection without a byte of answer; ``when="after"`` lets the request take effect first.

    Attributes:
        when: ``before`` (default) or ``after`` the request takes effect.
        how: ``close`` (default) the connection, or ``reset`` it.
    """

    when: When = "before"
    how: Literal["close", "reset"] = "close"


class Content(_Strict):
    """Send other bytes than the video's.

    A truncated body is cut off by default; with ``clean`` it ends properly, as if it were whole.

    Attributes:
        truncate: Fraction of the video that is sent, 0 to 1.
        truncate_bytes: Bytes of the video that are sent, in place of ``truncate``.
        clean: Whether a truncated body ends properly. Default: False.
        garbage: Whether bytes are sent that are no video. Default: False.
        bytes_per_second: Speed in bytes a second. Default: no limit.
        content_type: Media type that the header tells. Default: the video's.
    """

    truncate: float | None = Field(default=None, ge=0, le=1)
    truncate_bytes: int | None = Field(default=None, ge=0)
    clean: bool = False
    garbage: bool = False
    bytes_per_second: float | None = Field(default=None, gt=0)
    content_type: str | None = None

    @model_validator(mode="after")
    def _sensible(self) -> "Content":
        if self.truncate is not None and self.truncate_bytes is not None:
            raise ValueError("give truncate (a fraction) or truncate_bytes, not both")
        if self.clean and not self.is_short:
            raise ValueError("clean says how a truncated body ends: give truncate or truncate_bytes too")
        if not self.model_fields_set:
            raise ValueError("say what is wrong with the content")
        return self

    @property
    def is_short(self) -> bool:
        """Whether the body lacks its end."""
        return self.truncate is not None or self.truncate_bytes is not None


class JobFault(_Strict):
    """What becomes of a job that a matching submit creates; what is not given stays as it would be.

    Attributes:
        outcome: The status it ends with.
        error: The text it ends with.
        seconds: Seconds that it takes; ``manual`` for one that is ended by hand.
        polls: Polls that are answered before it can end.
        outputs: How many videos it has.
        cost: The bill in US dollars; null for none that is told.
        gone: Whether its outputs are no longer kept.
    """

    outcome: str | None = None
    error: str | None = None
    seconds: Seconds | None = None
    polls: int | None = Field(default=None, ge=0)
    outputs: int | None = Field(default=None, ge=0)
    cost: Decimal | None = None
    gone: bool | None = None

    def changes(self) -> dict[str, Any]:
        """The given fields, by the names that a job has for them."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if "polls" in given:
            given["polls_needed"] = given.pop("polls")
        return given


class WebhookFault(_Strict):
    """What is wrong with the webhook of a job; to lose it, ``drop`` it.

    Attributes:
        copies: How often the same call is made, 1 to 10. Default: 1.
        age: Seconds since it was signed; negative for the future. Default: 0.
        signature: ``valid`` (default), ``forged`` or ``missing``.
    """

    copies: int = Field(default=1, ge=1, le=10, description="How often the same call is made")
    age: float = Field(default=0, description="Seconds since it was signed; negative for the future")
    signature: Literal["valid", "forged", "missing"] = "valid"

    @model_validator(mode="after")
    def _sensible(self) -> "WebhookFault":
        if not self.model_fields_set:
            raise ValueError("say what is wrong with the webhook")
        return self


def _delay(value: object) -> object:
    """A bare number delays before the request is acted upon."""
    return {"seconds": value} if isinstance(value, int | float) else value


class Rule(_Strict):
    """One fault: what it matches, how often it strikes, and one thing that it does, or a delay, or both.

    Attributes:
        id: Its name; one is made up where none is given. A rule with the name of another takes its place.
        match: Which requests it is about. Default: all that come in.
        times: How many matching requests it hits; null, the default, for all.
        after: Matching requests that pass first. Default: 0.
        every: Of the others, it hits every n-th. Default: 1, all of them.
        per_job: Whether it counts for each job by itself. Default: False.
        delay: Wait; a bare number is seconds before the request is acted upon.
        respond: Answer with this.
        drop: End the connection without an answer.
        content: Send other bytes than the video's.
        status: The status text that a poll tells.
        job: What becomes of the job of a submit.
        webhook: What is wrong with the webhook.
    """

    id: str = ""
    match: Match = Field(default_factory=Match)
    times: int | None = Field(default=None, ge=1, description="How many matching requests it hits; None for all")
    after: int = Field(default=0, ge=0, description="Matching requests that pass first")
    every: int = Field(default=1, ge=1, description="Of the others, it hits each so-manieth")
    per_job: bool = Field(default=False, description="Count for each job by itself")
    delay: Annotated[Delay, BeforeValidator(_delay)] | None = None
    respond: Respond | None = None
    drop: Drop | None = None
    content: Content | None = None
    status: str | None = None
    job: JobFault | None = None
    webhook: WebhookFault | None = None

    @model_validator(mode="after")
    def _one_action(self) -> "Rule":
        actions = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(actions) > 1:
            raise ValueError(f"a rule has one action, this one has {' and '.join(actions)}: write two rules")
        if not actions and self.delay is None:
            raise ValueError(f"a rule needs an action ({', '.join(ACTIONS)}) or a delay")
        if self.match.operation == WEBHOOK and not {"drop", "webhook"}.issuperset(actions):
            raise ValueError(
                f"{WEBHOOK} can be dropped, delayed or changed by webhook: there is nothing to {actions[0]}"
            )
        if self.webhook is not None and self.match.operation == "any":
            raise ValueError(f"webhook acts on {WEBHOOK}, which 'any' does not mean: name the operation")
        for action in actions:
            if self.match.operation not in {"any", FITTING.get(action, self.match.operation)}:
                raise ValueError(f"{action} acts on {FITTING[action]}, but the rule matches {self.match.operation}")
        if self.per_job and self.match.operation == "createVideos":
            raise ValueError("per_job needs requests that name a job, and a submit names none")
        return self

    @property
    def action(self) -> str | None:
        """The name of its action; None if it only delays."""
        return next((name for name in ACTIONS if getattr(self, name) is not None), None)

    def as_json(self) -> dict[str, Any]:
        """The rule as it may be written, without what is as usual."""
        written: dict[str, Any] = json.loads(self.model_dump_json(exclude_unset=True))
        return written | {"id": self.id}


@dataclass(frozen=True, slots=True)
class Target:
    """What rules look at in a request.

    Args:
        operation: The API's operation id.
        model: The model that is ordered, or that the job was ordered from.
        job_id: The job that is named.
        prompt: The prompt of the request or the job.
        index: The output that is asked for.
    """

    operation: str
    model: str | None = None
    job_id: str | None = None
    prompt: str | None = None
    index: int | None = None

    def meets(self, match: Match) -> bool:
        """Whether a rule is about this request."""
        return (
            (match.operation == self.operation or (match.operation == "any" and self.operation != WEBHOOK))
            and match.model in {None, self.model}
            and match.job_id in {None, self.job_id}
            and match.index in {None, self.index}
            and (match.prompt_contains is None or match.prompt_contains in (self.prompt or ""))
        )


@dataclass(slots=True)
class Plan:
    """What goes wrong with one request."""

    delay_before: float = 0.0
    delay_after: float = 0.0
    answer: Respond | Drop | None = None
    content: Content | None = None
    status: str | None = None
    job: JobFault | None = None
    webhook: WebhookFault | None = None
    rules: list[str] = field(default_factory=list)

    def has_room_for(self, rule: Rule, target: Target) -> bool:
        """Whether no older rule of its kind was first, and its action fits the operation."""
        taken = {
            "respond": self.answer,
            "drop": self.answer,
            "content": self.content,
            "status": self.status,
            "job": self.job,
            "webhook": self.webhook,
        }
        action = rule.action
        return action is None or (taken[action] is None and target.operation == FITTING.get(action, target.operation))

    def take(self, rule: Rule) -> None:
        """Let a rule strike."""
        self.rules.append(rule.id)
        if rule.delay is not None and rule.delay.when == "before":
            self.delay_before += rule.delay.seconds
        elif rule.delay is not None:
            self.delay_after += rule.delay.seconds
        self.answer = self.answer or rule.respond or rule.drop
        self.content = self.content or rule.content
        self.status = self.status or rule.status
        self.job = self.job or rule.job
        self.webhook = self.webhook or rule.webhook

    def answers(self, when: When) -> Respond | Drop | None:
        """The answer to give at that moment instead of the real one."""
        return self.answer if self.answer is not None and self.answer.when == when else None


class FaultBook:
    """All rules and how often they matched. Every method may be called from every thread."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._matched: Counter[tuple[str, str | None]] = Counter()
        self._hits: Counter[str] = Counter()
        self._numbers = count(1)
        self._lock = threading.Lock()

    def add(self, rule: Rule) -> Rule:
        """Add a rule; one without an id gets one, one with the id of another replaces it."""
        with self._lock:
            named = rule if rule.id else rule.model_copy(update={"id": f"fault-{next(self._numbers)}"})
            self._forget(named.id)
            self._rules[named.id] = named
            return named

    def remove(self, rule_id: str) -> bool:
        """Remove a rule; False if there is none of that id."""
        with self._lock:
            return self._forget(rule_id)

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()
            self._matched.clear()
            self._hits.clear()

    def describe(self) -> list[dict[str, Any]]:
        """All rules as JSON, each with the number of requests it has hit."""
        with self._lock:
            return [rule.as_json() | {"hits": self._hits[rule.id]} for rule in self._rules.values()]

    def plan(self, target: Target) -> Plan:
        """What goes wrong with this request; counts it for every rule that it concerns."""
        plan = Plan()
        with self._lock:
            for rule in self._rules.values():
                if target.meets(rule.match) and plan.has_room_for(rule, target) and self._strikes(rule, target):
                    plan.take(rule)
                    self._hits[rule.id] += 1
        return plan

    def _strikes(self, rule: Rule, target: Target) -> bool:
        """Count the request, and tell whether the count says that it is hit."""
        key = (rule.id, target.job_id if rule.per_job else None)
        number = self._matched[key] - rule.after
        self._matched[key] += 1
        if number < 0 or number % rule.every:
            return False
        return rule.times is None or number // rule.every < rule.times

    def _forget(self, rule_id: str) -> bool:
        for key in [key for key in self._matched if key[0] == rule_id]:
            del self._matched[key]
        self._hits.pop(rule_id, None)
        return self._rules.pop(rule_id, None) is not None
