"""Protection of the dashboard against requests of other sites and against artifacts that are programs.

The dashboard has no authentication, and any page in a browser can send requests to addresses of this machine. What is
covered: names that another site has pointed to this machine (DNS rebinding), writes from a page of another site, reads
of responses for our page, our page in a frame of another site, artifacts that are programs. What is not covered: other
users of this machine, who can reach its ports too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from autotune.escaping import one_line
from autotune.results.dashboard.artifacts import WsgiApp

# Any port: `ssh -L 9000:127.0.0.1:8080` has one of its own.
_HERE = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?", re.IGNORECASE)
_READING = {"GET", "HEAD", "OPTIONS"}
_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
_HARMLESS = re.compile(r"(?:image/(?:png|jpeg|gif|webp)|text/(?:plain|csv)|application/json|(?:audio|video)/[\w.+-]+)")
_PICTURE_THAT_IS_A_PROGRAM = "image/svg+xml"  # not where it is shown as a picture
_SANDBOX = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"


def guarded(app: WsgiApp) -> WsgiApp:
    """Return the dashboard's application, which refuses what a page of another site asks for."""

    def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if (why := _why_refused(environ)) is not None:
            start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8"), *_HEADERS])
            return [f"{one_line(why)}\n".encode()]
        is_artifact = environ.get("PATH_INFO", "").startswith("/artifacts")

        def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            own = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            return start_response(status, [*(_of_a_file(own) if is_artifact else own), *_HEADERS], *rest)

        return app(environ, begin)

    return answering


def _why_refused(environ: dict[str, Any]) -> str | None:
    host = environ.get("HTTP_HOST", "")
    if _HERE.fullmatch(host) is None:
        return f"The dashboard was asked for at {host!r}. It answers at 127.0.0.1 and localhost."
    if not environ.get("PATH_INFO", "").isascii():  # bottle leaves out what is no UTF-8, and reads another address
        return "The dashboard has no such address."
    if environ.get("REQUEST_METHOD") not in _READING and not _is_from(host, environ):
        return "A page of another site wanted to write to the dashboard. Only its own pages may."
    return None


def _is_from(host: str, environ: dict[str, Any]) -> bool:
    """Say whether a page of this host asks, or no browser does."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is None and (site := environ.get("HTTP_SEC_FETCH_SITE")) is not None:
        return site in ("same-origin", "none")
    if origin is None and (referer := environ.get("HTTP_REFERER")) is not None:
        origin = "://".join(urlsplit(referer)[:2])
    return origin is None or origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _of_a_file(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of a file that somebody has left: a browser may show it, and not run it."""
    kind = next((value for name, value in headers if name.lower() == "content-type"), "").partition(";")[0].strip()
    others = [(name, value) for name, value in headers if name.lower() != "content-type"]
    others.append(("Content-Security-Policy", _SANDBOX))
    if _HARMLESS.fullmatch(kind.lower()):
        return [*others, ("Content-Type", kind)]
    known = kind if kind.lower() == _PICTURE_THAT_IS_A_PROGRAM else "application/octet-stream"
    return [*others, ("Content-Type", known), ("Content-Disposition", "attachment")]
