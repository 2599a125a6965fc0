"""What the tests of results share: questions to a WSGI application."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

Answer = tuple[str, dict[str, str], bytes]


@pytest.fixture
def ask() -> Callable[..., Answer]:
    """Give a function that asks a WSGI application for an address: its status, headers and body."""

    def asking(app: Any, address: str, method: str = "GET", body: bytes = b"", **environ: str) -> Answer:
        begun: list[Any] = []
        asked = {
            "REQUEST_METHOD": method,
            "PATH_INFO": address,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_HOST": "127.0.0.1:80",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            **environ,
        }
        answer = app(asked, lambda *answer: begun.extend(answer))
        content = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        return begun[0], dict(begun[1]), content

    return asking
