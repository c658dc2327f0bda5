"""The operator behind ``@task.orvideo``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.providers.common.compat.sdk import DecoratedOperator, context_merge, determine_kwargs

from airflow_provider_orvideo.operators.arguments import REQUEST_FIELDS
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk.definitions.context import Context

    from airflow_provider_orvideo.api.schema import VideoRequest

#: Key of the XCom by which the task that resumes knows what the function had answered.
REQUEST_KEY: Final = "orvideo_request"


class OrVideoDecoratedOperator(DecoratedOperator, OrVideoGenerateOperator):
    """Generates the video that a function asks for."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *OrVideoGenerateOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **OrVideoGenerateOperator.template_fields_renderers,
    }
    custom_operator_name: str = "@task.orvideo"
    # The UI shows the prompt that the function returned.
    overwrite_rtif_after_execution: bool = True
    #: The model that the function named.
    _named: str | None = None

    def _wanted(self, context: Context) -> Callable[[], VideoRequest]:
        def tell() -> VideoRequest:
            answer = self._answer(context)
            for name in answer.keys() - {"model"}:
                setattr(self, name, answer[name])
            # The models that may serve are the decorator's, whichever of them the function names to begin with.
            self._named = answer.get("model")
            request = self._request()
            context["ti"].xcom_push(key=REQUEST_KEY, value=super(OrVideoDecoratedOperator, self)._outline(context))
            return request

        return tell

    def _answer(self, context: Context) -> Mapping[str, Any]:
        from airflow_provider_orvideo.exceptions import RequestInvalidError  # noqa: PLC0415

        context_merge(context, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, context)
        answer = self.python_callable(*self.op_args, **kwargs)
        if isinstance(answer, str) and answer.strip():
            return {"prompt": answer}
        what = f"The function {self.python_callable.__name__} must return a prompt or a dict of request fields"
        if not isinstance(answer, Mapping):
            raise RequestInvalidError((f"{what}; it returned {'nothing' if not answer else type(answer).__name__}.",))
        unknown = sorted(map(str, answer.keys() - {*REQUEST_FIELDS}))
        if unknown:
            raise RequestInvalidError(
                (f"{what}; it returned {', '.join(unknown)}. Known: {', '.join(REQUEST_FIELDS)}.",)
            )
        if not isinstance(answer.get("model") or "", str):
            raise RequestInvalidError(("The function returned several models; give them to the decorator.",))
        return answer

    def _request(self) -> VideoRequest:
        from airflow_provider_orvideo.operators.orders import request_of  # noqa: PLC0415

        return request_of({**self._fields(), "model": self._named or self.model})

    def _models(self) -> tuple[str, ...]:
        return super()._models() if self.model else ()

    def _outline(self, context: Context) -> dict[str, Any] | None:
        """Return what was ordered; the function is not asked again for it."""
        with suppress(Exception):  # a manifest without it is still one of a paid and landed video
            task_instance = context["ti"]
            kept: dict[str, Any] | None = task_instance.xcom_pull(
                task_ids=task_instance.task_id, map_indexes=task_instance.map_index, key=REQUEST_KEY
            )
            return kept
        return None
