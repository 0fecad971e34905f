"""A small OpenID provider for demo and tests: discovery, keys, log-in page, authorisation code with PKCE, ID tokens.

    python -m standin.identity_provider --port 9000

It serves on 127.0.0.1 alone, knows anybody who types the one password, and can be told to answer wrongly (`POST /misbehave`), so
that the portal's checks have something to refuse. It is never used in production.
"""

import argparse
import base64
import hashlib
import html
import json
import secrets
import time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET, PASSWORD = "countersign", "standin-secret", "standin"
CODE_SECONDS, TOKEN_SECONDS = 60, 300
PAGE = """<!doctype html><html lang="en"><title>Stand-in identity provider</title>
<form method="post" action="/authorize"><h1>Who are you?</h1><input type="hidden" name="asked" value="{asked}">
<p><label>Name <input name="name"></label> <label>Password <input name="password" type="password"></label>
<button>Log in</button></form></html>"""


class Provider:
    """What the provider remembers: keys, codes that it gave, and how it misbehaves."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.codes: dict[str, dict[str, Any]] = {}
        self.people: dict[str, tuple[str, float]] = {}  # cookie -> name and time of log-in
        self.misbehaviour: dict[str, Any] = {}
        self.keys = [self._new_key()]

    def now(self) -> float:
        return time.time() + float(self.misbehaviour.get("ahead", 0))

    def rotate(self) -> None:
        self.keys = [self._new_key()]

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.misbehaviour.get("discovered", self.issuer),
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def code_for(self, asked: dict[str, str], name: str, since: float) -> str:
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**asked, "name": name, "since": since, "until": time.time() + CODE_SECONDS}
        return code

    def token(self, given: dict[str, Any]) -> str:
        """The ID token, with whatever is wrong about it at the moment."""
        wrong, now = self.misbehaviour, int(self.now())
        claims = {
            "iss": self.issuer,
            "sub": f"sub-{given['name']}",
            "aud": CLIENT,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "nonce": given.get("nonce", ""),
            "auth_time": int(given["since"]),
            **wrong.get("claims", {}),
        }
        claims |= {name: int(claims[name]) + delta for name, delta in wrong.get("shift", {}).items()}
        for name in wrong.get("omit", []):
            claims.pop(name, None)
        if wrong.get("alg") == "none":
            head = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=")
            return b".".join([head, base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"="), b""]).decode()
        if wrong.get("alg") == "HS256":
            return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET + SECRET + SECRET))
        key = (
            RSAKey.generate_key(2048, {"kid": str(self.keys[0].kid)}) if wrong.get("key") == "another" else self.keys[0]
        )
        return jwt.encode({"alg": "RS256", "kid": self.keys[0].kid}, claims, key)

    def _new_key(self) -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": secrets.token_hex(8), "use": "sig", "alg": "RS256"})


class Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        if where.path == "/.well-known/openid-configuration":
            self._json(self.provider.discovery())
        elif where.path == "/keys":
            self._json({"keys": [key.as_dict(private=False) for key in self.provider.keys]})
        elif where.path == "/authorize":
            self._authorize({name: values[0] for name, values in parse_qs(where.query).items()})
        else:
            self._json({"error": "not_found"}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if self.path == "/misbehave":
            told = json.loads(body or "{}")
            if told.pop("rotate", False):
                self.provider.rotate()
            self.provider.misbehaviour = told
            self._json({})
            return
        typed = {name: values[0] for name, values in parse_qs(body).items()}
        if self.path == "/authorize":
            self._log_in(typed)
        elif self.path == "/token":
            self._token(typed)
        else:
            self._json({"error": "not_found"}, 404)

    def _authorize(self, asked: dict[str, str]) -> None:
        if asked.get("client_id") != CLIENT or asked.get("response_type") != "code" or "code_challenge" not in asked:
            self._json({"error": "invalid_request"}, 400)
            return
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("idp")
        known = self.provider.people.get(cookie.value) if cookie else None
        anew = asked.get("prompt") == "login" or asked.get("max_age") == "0"
        if known and (not anew or self.provider.misbehaviour.get("asks_nobody")):
            self._send_back(asked, *known)
            return
        if self.provider.misbehaviour.get("error"):
            self._redirect(asked, error=self.provider.misbehaviour["error"])
            return
        page = PAGE.format(asked=html.escape(json.dumps(asked)))
        self._answer(200, page.encode(), "text/html; charset=utf-8")

    def _log_in(self, typed: dict[str, str]) -> None:
        asked = json.loads(typed["asked"])
        if typed.get("password") != PASSWORD:
            self._answer(403, b"wrong", "text/plain")
            return
        cookie, since = secrets.token_hex(16), self.provider.now()
        self.provider.people[cookie] = (typed["name"], since)
        self._send_back(asked, typed["name"], since, cookie)

    def _send_back(self, asked: dict[str, str], name: str, since: float, cookie: str = "") -> None:
        self._redirect(asked, cookie, code=self.provider.code_for(asked, name, since))

    def _redirect(self, asked: dict[str, str], cookie: str = "", **answer: str) -> None:
        url = f"{asked['redirect_uri']}?{urlencode({**answer, 'state': asked.get('state', '')})}"
        more = {"Set-Cookie": f"idp={cookie}; HttpOnly; Path=/"} if cookie else {}
        self._answer(302, b"", "text/plain", {"Location": url, **more})

    def _token(self, typed: dict[str, str]) -> None:
        """A code is good once, for the client and the address that asked for it, and with PKCE's secret."""
        given = self.provider.codes.pop(typed.get("code", ""), None)
        expected = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(typed.get("code_verifier", "").encode()).digest()
        proved = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if self.headers.get("Authorization") != f"Basic {expected}":
            self._json({"error": "invalid_client"}, 401)
        elif (
            given is None
            or given["until"] < time.time()
            or given["redirect_uri"] != typed.get("redirect_uri")
            or given["code_challenge"] != proved
        ):
            self._json({"error": "invalid_grant"}, 400)
        else:
            access = secrets.token_urlsafe(16)
            self._json({"access_token": access, "token_type": "Bearer", "id_token": self.provider.token(given)})

    def _json(self, said: dict[str, Any], status: int = 200) -> None:
        self._answer(status, json.dumps(said).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A small OpenID provider for demo and tests")
    parser.add_argument("--port", type=int, default=0)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    issuer = f"http://127.0.0.1:{server.server_port}"
    Handler.provider = Provider(issuer)
    print(issuer, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
