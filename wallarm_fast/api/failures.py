"""Which failure becomes which error, in which words.

Both functions return a TransientError for what is worth retrying, and a StepError for what cannot pass.
"""

import ssl
from http import HTTPStatus

import httpx

from wallarm_fast.api.connection import CLOUDS, Connection
from wallarm_fast.api.responses import Envelope
from wallarm_fast.api.retry import TransientError, parse_date, parse_retry_after
from wallarm_fast.api.transport import ProxyStatusError, TlsError
from wallarm_fast.errors import (
    NotFoundError,
    RecordNotFoundError,
    RefusedError,
    StepError,
    TokenRefusedError,
    UnknownCallError,
    UnreachableError,
)

# How long, in seconds, to put up with no response at all, and with responses that are not of the API.
_SILENCE = 300.0
_NOT_THE_API = 15.0
_LAST_ERROR = 599
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_REJECTED_FOR_NOW = {HTTPStatus.LOCKED, HTTPStatus.TOO_MANY_REQUESTS}
_TRANSIENT = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, *_REJECTED_FOR_NOW}
_TRANSIENT_OF_PROXY = _TRANSIENT - {HTTPStatus.LOCKED}
# What OpenSSL says of a peer whose answer is not TLS; it depends on the version and on the answer.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"}
# What OpenSSL says of a peer with which no connection can succeed, and what that means.
_HOPELESS_TLS = {
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it rejected the handshake",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak TLS 1.2 or newer",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.2 or newer",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "it accepts none of the ciphers",
    "TLSV1_UNRECOGNIZED_NAME": "it does not serve this host name",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "it needs legacy renegotiation, which is not safe",
    "DH_KEY_TOO_SMALL": "its key is too weak",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it requires a client certificate, which is not supported",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it requires a client certificate, which is not supported",
    "TLSV1_ALERT_ACCESS_DENIED": "it denied access",
}


def connection_failure(error: httpx.TransportError, connection: Connection) -> StepError | TransientError:
    """Return the error for a request that got no complete response."""
    match error:
        case TlsError(reason=ssl.SSLCertVerificationError()):
            return _untrusted(error, connection)
        case TlsError(reason=ssl.SSLError(reason=str(reason))) if reason in _NOT_TLS:
            return _no_tls(error, connection)
        case TlsError(reason=ssl.SSLError(reason=str(reason))) if reason in _HOPELESS_TLS:
            peer = _peer(error, connection)
            return UnreachableError(f"no TLS connection to {peer}: {_HOPELESS_TLS[reason]} ({reason})")
        case ProxyStatusError(status=status) if (
            httpx.codes.is_client_error(status) and status not in _TRANSIENT_OF_PROXY
        ):
            return _proxy_refusal(status, connection)
    not_sent = isinstance(
        error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError
    ) or (isinstance(error, TlsError) and error.in_handshake)
    # What follows the colon comes from the server. A proxy may say a lot, but it never has the token.
    words = str(error).partition(":")[0] if isinstance(error, httpx.ProtocolError) else str(error)[:200]
    reason = "timed out" if isinstance(error, httpx.TimeoutException) else words or type(error).__name__
    action = "no connection to" if not_sent else "no complete response from"
    return TransientError(
        UnreachableError,
        f"{action} {connection.route}: {reason}",
        may_have_acted=not not_sent,
        patience=_SILENCE,
    )


def response_failure(
    response: httpx.Response, envelope: Envelope | None, connection: Connection, now: float, resource: str
) -> StepError | TransientError | None:
    """Return the error that a response stands for, or None if it is a good one.

    `envelope` is None if the response could not be parsed; its status counts like that of HTTP. `now` is the
    time in seconds since the epoch. A 404 says that the `resource` was not found, if there is one.
    """
    code = response.status_code
    if envelope and envelope.status and envelope.status >= HTTPStatus.BAD_REQUEST:
        code = min(envelope.status, _LAST_ERROR)
    detail = envelope.detail(connection.token) if envelope else ""
    detail = f"HTTP {code}: {detail}" if detail else f"HTTP {code}"
    if httpx.codes.is_redirect(code):
        return RefusedError(f"the API responded with a redirect ({detail}), which is not followed").hint(
            "check api_host"
        )
    if code in _TRANSIENT or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # A date is relative to the clock of the server.
        sent_at = parse_date(response.headers.get("Date", "")) or now
        return TransientError(
            UnreachableError,
            f"the API responded with {detail}",
            retry_after=parse_retry_after(response.headers.get("Retry-After", ""), sent_at),
            may_have_acted=code not in _REJECTED_FOR_NOW,
        )
    if envelope is None and (failure := _foreign(response, detail, connection)):
        return failure
    return None if httpx.codes.is_success(code) else _refusal(code, detail, connection, resource)


def _foreign(response: httpx.Response, detail: str, connection: Connection) -> TransientError | None:
    """Return the error for a response that is not JSON, unless it is a refusal all the same."""
    code = response.status_code
    if code in _REFUSED:
        return TransientError(
            TokenRefusedError,
            f"{connection.route} refused the request, but not in the form of the API ({detail}): either the "
            "token is wrong, or something in front of the API, such as a CDN or a firewall, refused it",
            may_have_acted=False,
            patience=_NOT_THE_API,
        )
    if "html" in response.headers.get("Content-Type", "") or response.content.lstrip().startswith(b"<"):
        return TransientError(
            RefusedError,
            f"{connection.route} is not the API: it responded with a web page ({detail})",
            may_have_acted=httpx.codes.is_success(code),
            patience=_NOT_THE_API,
        )
    if httpx.codes.is_success(code):
        return TransientError(RefusedError, "unreadable response: not JSON, truncated, or over 1 MiB")
    return None


def _refusal(code: int, detail: str, connection: Connection, resource: str) -> StepError:
    if code in _REFUSED:
        return TokenRefusedError(f"{connection.route} refused the token ({detail})").hint(
            "check that it is a FAST node token and that "
            f"cloud_region ({', '.join(CLOUDS)}) or api_host is that of its cloud"
        )
    if code == HTTPStatus.NOT_FOUND and resource:
        missing = RecordNotFoundError if resource == "test record" else NotFoundError
        return missing(f"{resource} not found at {connection.route} ({detail})").hint(
            f"check {resource.replace(' ', '_')}_id and cloud_region (or api_host)"
        )
    if code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and connection.proxy:
        return _proxy_refusal(code, connection)
    refused = UnknownCallError if code == HTTPStatus.METHOD_NOT_ALLOWED else RefusedError
    error = refused(f"the API refused the request ({detail})")
    return error.hint("check api_host") if code == HTTPStatus.NOT_FOUND else error


def _proxy_refusal(status: int, connection: Connection) -> StepError:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        reason = f"the proxy refused the credentials (HTTP {status})"
        hint = "check user and password in HTTPS_PROXY or HTTP_PROXY"
    else:
        reason = f"the proxy refused the connection (HTTP {status})"
        hint = "have the proxy allow this host, or list the host in NO_PROXY"
    return UnreachableError(f"no connection to {connection.route}: {reason}").hint(hint)


def _untrusted(error: TlsError, connection: Connection) -> StepError:
    problem = getattr(error.reason, "verify_message", "") or "verification failed"
    untrusted = UnreachableError(
        f"the TLS certificate of {_peer(error, connection)} is not trusted ({problem})"
    ).hint(
        "check api_host, and that ca_cert contains the CA of this certificate"
        if connection.ca_certificates
        else "check api_host, or name the certificate of its CA in ca_cert"
    )
    return untrusted.hint("NO_PROXY keeps the API off the proxy") if connection.proxy else untrusted


def _no_tls(error: TlsError, connection: Connection) -> StepError:
    of_proxy = _is_of_proxy(error, connection)
    advice = "write http:// in the URL of the proxy" if of_proxy else "check the port in api_host"
    return UnreachableError(f"{_peer(error, connection)} does not speak TLS").hint(advice)


def _peer(error: TlsError, connection: Connection) -> str:
    """Return with whom TLS failed: the proxy, or the API."""
    return f"the proxy {connection.proxy_server}" if _is_of_proxy(error, connection) else connection.route


def _is_of_proxy(error: TlsError, connection: Connection) -> bool:
    if not (connection.proxy or "").startswith("https:"):
        return False
    return httpx.URL(connection.base_url).raw_host.decode().rstrip(".") != error.host
