"""What can go wrong with a request: a code for programs, a text for people."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

__all__ = ["STATUS_OF", "ControlError"]

STATUS_OF: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        "bad-request": HTTPStatus.BAD_REQUEST,
        "bad-cursor": HTTPStatus.BAD_REQUEST,
        "not-allowed": HTTPStatus.FORBIDDEN,
        "no-such-page": HTTPStatus.NOT_FOUND,
        "no-such-job": HTTPStatus.NOT_FOUND,
        "no-such-run": HTTPStatus.NOT_FOUND,
        "no-output": HTTPStatus.NOT_FOUND,
        "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
        "is-a-service": HTTPStatus.CONFLICT,
        "not-a-service": HTTPStatus.CONFLICT,
        "not-under-way": HTTPStatus.CONFLICT,
        "not-here": HTTPStatus.CONFLICT,
        "cannot-reload": HTTPStatus.CONFLICT,
        "too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "reload-failed": HTTPStatus.UNPROCESSABLE_ENTITY,
        "stopping": HTTPStatus.SERVICE_UNAVAILABLE,
        "no-history": HTTPStatus.SERVICE_UNAVAILABLE,
        "too-many-streams": HTTPStatus.SERVICE_UNAVAILABLE,
        "takes-too-long": HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""All codes, with the status of the answer."""


class ControlError(Exception):
    """A request that cannot be answered. `code` is one of `STATUS_OF`; `more` are further fields for programs."""

    def __init__(self, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.more = more

    @property
    def status(self) -> HTTPStatus:
        """The status of the answer."""
        return STATUS_OF[self.code]
