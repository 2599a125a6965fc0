"""The dashboard answers pages of its own, on this machine, and sends no file that a browser would run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autotune.results.dashboard.guard import guarded

Ask = Callable[..., tuple[str, dict[str, str], bytes]]
HERE = "127.0.0.1:8080"


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def app(asked: list[str]) -> Any:
    """An application that notes what it is asked for, and answers with a file of the kind that the query names."""

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        kind = environ["QUERY_STRING"] or "application/json"
        start_response("200 OK", [("Content-Type", kind), ("Access-Control-Allow-Origin", "*")])
        return [b"answer"]

    return guarded(answering)


@pytest.mark.parametrize("host", [HERE, "localhost:8080", "LOCALHOST:9000", "[::1]:8080", "localhost"])
def test_its_own_names_are_answered_by_any_port_that_is_forwarded(ask: Ask, app: Any, host: str) -> None:
    assert ask(app, "/api/studies", HTTP_HOST=host)[0] == "200 OK"
    assert ask(app, "/api/studies", "POST", HTTP_HOST=host, HTTP_ORIGIN=f"http://{host}".lower())[0] == "200 OK"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil:80",
        "127.0.0.1:80,evil",
        "[::2]",
    ],
)
def test_another_name_of_this_machine_is_not_answered(ask: Ask, app: Any, asked: list[str], host: str) -> None:
    for method in ("GET", "POST"):
        status, headers, content = ask(app, "/api/studies", method, HTTP_HOST=host)
        assert status == "403 Forbidden"
        assert headers["Content-Type"].startswith("text/plain")
        assert content.startswith(b"The dashboard was asked for at")
    assert asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "asks",
    [
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "http://localhost:3000"},  # another server of this machine
        {"HTTP_ORIGIN": f"http://{HERE}.evil.example"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
        {"HTTP_REFERER": "http://evil.example/page"},
        {"HTTP_REFERER": f"http://evil.example/http://{HERE}/"},
    ],
)
def test_a_page_of_another_site_cannot_write(
    ask: Ask, app: Any, asked: list[str], method: str, asks: dict[str, str]
) -> None:
    status, _, content = ask(app, "/api/studies/1", method, HTTP_HOST=HERE, **asks)
    assert status == "403 Forbidden"
    assert b"another site" in content
    assert asked == []


@pytest.mark.parametrize(
    "asks",
    [
        {"HTTP_ORIGIN": f"http://{HERE}", "HTTP_SEC_FETCH_SITE": "same-origin"},
        {"HTTP_SEC_FETCH_SITE": "same-origin"},
        {"HTTP_REFERER": f"http://{HERE}/dashboard/studies/1"},
        {},  # no browser: a script of whoever is on this machine
    ],
)
def test_its_own_pages_write(ask: Ask, app: Any, asks: dict[str, str]) -> None:
    assert ask(app, "/api/studies/1", "DELETE", HTTP_HOST=HERE, **asks)[0] == "200 OK"


def test_an_answer_is_for_no_other_site_and_is_not_guessed_at(ask: Ask, app: Any) -> None:
    for address in ("/api/studies", "/dashboard", "/artifacts/1/2"):
        headers = ask(app, address)[1]
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    "kind", ["image/png", "text/plain", "application/json", "text/csv", "audio/x-wav", "video/mp4"]
)
def test_a_harmless_file_is_shown(ask: Ask, app: Any, kind: str) -> None:
    headers = ask(app, "/artifacts/1/2", QUERY_STRING=f"{kind}; charset=utf-8")[1]
    assert headers["Content-Type"] == kind
    assert "Content-Disposition" not in headers
    assert "sandbox" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "kind", ["text/html", "TEXT/HTML", "text/javascript", "image/svg+xml", "text/xml", "a", "application/pdf"]
)
def test_a_file_that_could_be_a_program_is_only_kept(ask: Ask, app: Any, kind: str) -> None:
    headers = ask(app, "/artifacts/1/2/3", QUERY_STRING=kind)[1]
    assert headers["Content-Type"] == ("image/svg+xml" if "svg" in kind else "application/octet-stream")
    assert headers["Content-Disposition"] == "attachment"
    assert "sandbox" in headers["Content-Security-Policy"]


def test_an_address_that_is_read_in_two_ways_is_refused(ask: Ask, app: Any, asked: list[str]) -> None:
    assert ask(app, "/\xffartifacts/1/2")[0] == "403 Forbidden"
    assert asked == []
