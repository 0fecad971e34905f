"""The identity provider as OpenID Connect describes it: where it answers, with which keys it signs, what an ID token must say.

Nothing here knows people or rows; `accounts.sso` does.
"""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import urllib3
from django.conf import settings
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

SECONDS = 10  # for each answer of the provider
LETTERS = 1_000_000  # of each answer
KNOWN_FOR = 600  # seconds for which its addresses and keys are kept
# Asymmetric ones alone: neither "none" nor a signature that whoever knows our client secret could make.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
SKEW_SECONDS = 2  # between the provider's clock and ours

_http = urllib3.PoolManager(timeout=urllib3.Timeout(total=SECONDS), retries=False)
_known: dict[str, tuple[float, Any]] = {}
_lock = threading.Lock()


class Unfit(Exception):
    """The provider's answer cannot be used; the message says why."""


@dataclass(frozen=True)
class Claims:
    """What of an ID token counts. Times are seconds since 1970, UTC."""

    issuer: str
    subject: str
    auth_time: int | None


def configured() -> bool:
    return bool(settings.OIDC_ISSUER)


def authorisation_url(**parameters: str) -> str:
    """Where the browser is sent. Raises Unfit."""
    page = _address("authorization_endpoint")
    query = {"response_type": "code", "client_id": settings.OIDC_CLIENT_ID, "scope": "openid", **parameters}
    return f"{page}{'&' if urlsplit(page).query else '?'}{urlencode(query)}"


def exchange(code: str, *, redirect_uri: str, verifier: str) -> str:
    """The ID token for an authorisation code, as text, not yet looked at. Raises Unfit."""
    ways = _provider().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    headers: dict[str, str] = {}
    if "client_secret_basic" in ways:
        headers = urllib3.make_headers(basic_auth=f"{settings.OIDC_CLIENT_ID}:{settings.OIDC_CLIENT_SECRET}")
    else:
        fields |= {"client_id": settings.OIDC_CLIENT_ID, "client_secret": settings.OIDC_CLIENT_SECRET}
    answer = _ask("POST", _address("token_endpoint"), fields, headers)
    token = answer.get("id_token")
    if not isinstance(token, str):
        raise Unfit(f"no ID token for the code: {str(answer.get('error', 'nothing said'))[:100]}")
    return token


def claims(token: str, *, nonce: str, now: float) -> Claims:
    """What the token says, once signature, issuer, audience, times and nonce are found right. Raises Unfit."""
    said = _signed(token).claims
    audience = said.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    faults = {
        "another issuer (iss)": said.get("iss") != settings.OIDC_ISSUER,
        "made for somebody else (aud)": settings.OIDC_CLIENT_ID not in audiences,
        "made for several, and not at our asking (azp)": said.get("azp", settings.OIDC_CLIENT_ID) != settings.OIDC_CLIENT_ID
        or (len(audiences) > 1 and "azp" not in said),
        "expired (exp)": not _number(said.get("exp")) or said["exp"] + SKEW_SECONDS <= now,
        "not valid yet (iat, nbf)": not _number(said.get("iat"))
        or max(said["iat"], said.get("nbf") or 0) > now + SKEW_SECONDS,
        "not the answer to our question (nonce)": said.get("nonce") != nonce,
        "no subject (sub)": not isinstance(said.get("sub"), str) or not said["sub"],
    }  # fmt: skip
    for fault, wrong in faults.items():
        if wrong:
            raise Unfit(f"ID token: {fault}")
    auth_time = said.get("auth_time")
    return Claims(said["iss"], said["sub"], int(cast(float, auth_time)) if _number(auth_time) else None)


def _signed(token: str) -> jwt.Token:
    """A key that is not known may be a new one: then the keys are fetched again, once."""
    try:
        try:
            return jwt.decode(token, _keys(), algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            _known.pop(_address("jwks_uri"), None)
            return jwt.decode(token, _keys(), algorithms=ALGORITHMS)
    except (JoseError, ValueError) as error:
        raise Unfit(f"ID token: signature, {error}"[:200]) from None


def _keys() -> KeySet:
    try:
        return KeySet.import_key_set(_kept(_address("jwks_uri")))
    except (JoseError, ValueError, KeyError, TypeError):
        raise Unfit("the provider's keys cannot be read") from None


def _provider() -> Mapping[str, Any]:
    """Its discovery document, which must speak of this issuer."""
    said = _kept(f"{settings.OIDC_ISSUER.rstrip('/')}/.well-known/openid-configuration")
    if said.get("issuer") != settings.OIDC_ISSUER:
        raise Unfit("its discovery document speaks of another issuer")
    return said


def _address(name: str) -> str:
    """One of its addresses, over TLS wherever the issuer is."""
    url = str(_provider().get(name, ""))
    if urlsplit(url).scheme not in {"https", urlsplit(settings.OIDC_ISSUER).scheme}:
        raise Unfit(f"its discovery document names no safe {name}")
    return url


def _kept(url: str) -> Any:
    with _lock:
        held = _known.get(url)
        if held is None or held[0] < time.monotonic():
            held = _known[url] = (time.monotonic() + KNOWN_FOR, _ask("GET", url))
        return held[1]


def _ask(
    method: str, url: str, fields: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
) -> Any:
    """JSON from the provider, whatever the status. Raises Unfit."""
    try:
        answer = _http.request(
            method, url, body=urlencode(fields) if fields else None, redirect=False, preload_content=False,
            headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", **(headers or {})},
        )  # fmt: skip
        text = answer.read(LETTERS, decode_content=True)
        answer.release_conn()
        said = json.loads(text)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Unfit(f"the provider does not answer ({type(error).__name__})") from None
    if not isinstance(said, dict):
        raise Unfit("the provider's answer cannot be read")
    return said


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
