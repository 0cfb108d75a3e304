"""What the webhook says when it refuses: RFC 9457 problem bodies, without the values that were sent."""

from http import HTTPStatus

from pydantic import ValidationError
from starlette.responses import JSONResponse


class Problem(Exception):  # noqa: N818  a problem in RFC 9457's sense
    """A refusal, with what to do about it."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, errors: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def response(self) -> JSONResponse:
        """Give the HTTP response."""
        body: dict[str, object] = {
            "type": "about:blank", "title": self.status.phrase, "status": self.status.value, "detail": self.detail,
        }  # fmt: skip
        if self.errors:
            body["errors"] = self.errors
        return JSONResponse(body, status_code=self.status, headers=self.headers, media_type="application/problem+json")


def errors_of(error: ValidationError) -> list[dict[str, str]]:
    """List a model's errors by field, without the input's values."""
    return [
        {
            "field": ".".join(str(part) for part in item["loc"]) or "body",
            "message": item["msg"].removeprefix("Value error, "),
        }
        for item in error.errors(include_input=False, include_url=False, include_context=False)
    ]
