"""The inputs that say where the API is and how to reach it; every step has them."""

import math
import os.path
from dataclasses import dataclass
from urllib.parse import SplitResult

from wallarm_fast.api.connection import CLOUDS, Cloud, Connection
from wallarm_fast.inputs import addresses, parsers
from wallarm_fast.inputs.proxy import read_proxy
from wallarm_fast.inputs.table import TOKEN, Input, InputReader

USE_SSL_VARIABLE = "WALLARM_API_USE_SSL"
REGIONS = " or ".join(CLOUDS)
_CLOUDS = " or ".join(f"{region} ({cloud.api_host})" for region, cloud in CLOUDS.items())
# Variables of curl and requests.
_OF_OTHER_TOOLS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

CONNECTION_INPUTS = {
    "token": TOKEN,
    "cloud_region": Input("WALLARM_CLOUD_REGION", f"Wallarm cloud: {_CLOUDS}", "us", type="region"),
    "api_host": Input(
        "WALLARM_API_HOST",
        "host, host:port or base URL of the API, with or without /v1; overrides cloud_region",
        otherwise="from cloud_region",
    ),
    "ca_cert": Input(
        "WALLARM_CA_CERT",
        "certificates to trust in addition to the system's: path of a PEM file, relative to the working "
        "directory, or the PEM text",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every step needs: the connection, and the seconds for the whole step."""

    connection: Connection
    timeout: float


def read_timeout(reader: InputReader) -> float:
    """Read the input timeout."""
    return reader.read("timeout", parsers.parse_timeout, math.inf)


def read_connection(reader: InputReader) -> Connection:
    """Read the inputs token, cloud_region, api_host and ca_cert."""
    cloud = reader.read("cloud_region", _parse_region, CLOUDS["us"])
    url = reader.read_optional("api_host", addresses.parse_base_url)
    if url and reader.is_given("cloud_region") and _host(url) != cloud.api_host:
        reader.warn(f"cloud_region is ignored, since api_host is set to {url.hostname}")
    url = url or addresses.parse_base_url(cloud.api_host)
    _check_encryption(reader, url)
    return Connection(
        base_url=url.geturl(),
        token=reader.token,
        ca_certificates=_read_certificates(reader),
        proxy=read_proxy(reader, url),
        portal=next((cloud.portal for cloud in CLOUDS.values() if cloud.api_host == _host(url)), None),
    )


def _check_encryption(reader: InputReader, url: SplitResult) -> None:
    """Reject an address that would send the token unencrypted, unless that is accepted."""
    unencrypted = url.scheme == "http" and not addresses.is_loopback(url.hostname or "")
    use_ssl = reader.environ.get(USE_SSL_VARIABLE, "").strip() or "true"
    if reader.check(USE_SSL_VARIABLE, use_ssl, parsers.parse_boolean, fallback=False) and unencrypted:
        reader.reject(
            "api_host",
            "http:// would send the token unencrypted; use https://, or accept it with "
            f"{USE_SSL_VARIABLE}=false",
        )
    elif unencrypted:
        reader.warn(f"the token is sent unencrypted to {url.hostname}")


def _read_certificates(reader: InputReader) -> str | None:
    """Read ca_cert; warns of variables that name certificates and have no effect."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = reader.environ.get(variable)
        if path and not reader.check(variable, path, _exists, fallback=True):
            reader.warn(f"{variable} names {parsers.quote(path)}, which does not exist")
    if not reader.given("ca_cert"):
        for variable in _OF_OTHER_TOOLS:
            if reader.environ.get(variable):
                reader.warn(
                    f"{variable} is not used; to trust its certificates, set ca_cert (WALLARM_CA_CERT)"
                )
    return reader.read_optional("ca_cert", parsers.parse_certificates)


def _exists(path: str) -> bool:
    """Tell whether there is such a file or folder; raises ValueError for a pipe, which could block."""
    exists = os.path.exists(path)  # noqa: PTH110 - also False for a path that cannot be
    if exists and not os.path.isfile(path) and not os.path.isdir(path):  # noqa: PTH112, PTH113
        raise ValueError(f"{parsers.quote(path)} is neither a file nor a folder")
    return exists


def _host(url: SplitResult) -> str:
    return (url.hostname or "").rstrip(".")


def _parse_region(region: str) -> Cloud:
    if cloud := CLOUDS.get(region.lower()):
        return cloud
    raise ValueError(f"must be {REGIONS}, not {parsers.quote(region)}")
