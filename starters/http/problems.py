"""What the webhook says when it refuses: RFC 9457 problem bodies, without the values that were sent."""

from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

from activities.common.text import fitted
from workers.settings import sentence

_NAME_SHOWN = 100
_ERRORS_SHOWN = 50


class Problem(Exception):  # noqa: N818  a problem in RFC 9457's sense
    """A refusal, with what to do about it."""

    def __init__(self, status: HTTPStatus, detail: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        """`more` are extension members, in RFC 9457's words."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.more = more

    def response(self) -> JSONResponse:
        """Give the HTTP response."""
        body = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            **self.more,
        }
        return JSONResponse(body, status_code=self.status, headers=self.headers, media_type="application/problem+json")


def errors_of(error: ValidationError) -> list[dict[str, str]]:
    """List a model's errors by field, without the input's values."""
    return [
        {
            # Parts of a path can be keys that were sent.
            "field": ".".join(fitted(str(part), _NAME_SHOWN) for part in item["loc"]) or "body",
            "message": sentence(item),
        }
        for item in error.errors(include_input=False, include_url=False, include_context=False)[:_ERRORS_SHOWN]
    ]
