"""The inputs that say where the API is and how to reach it; every step has them."""

from wallarm_fast.api.connection import CLOUDS, Cloud, Connection
from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.proxy import read_proxy
from wallarm_fast.inputs.table import Input, InputReader

USE_SSL_VARIABLE = "WALLARM_API_USE_SSL"
_REGIONS = f"{', '.join(list(CLOUDS)[:-1])} or {list(CLOUDS)[-1]}"

CLOUD_REGION = Input("WALLARM_CLOUD_REGION", "us", _REGIONS)
API_HOST = Input("WALLARM_API_HOST", "", "host, host:port or base URL of the API; overrides the region")
CA_CERT = Input("STOP_RECORDING_CA_CERT", "", "additional certificates to trust: PEM file or PEM text")


def read_connection(reader: InputReader) -> Connection:
    """Read the inputs token, cloud_region, api_host and ca_cert."""
    cloud = reader.read("cloud_region", _parse_cloud, CLOUDS["us"])
    url = reader.read_optional("api_host", parsers.parse_base_url) or parsers.parse_base_url(cloud.api_host)
    unencrypted = url.scheme == "http" and not parsers.is_loopback(url.hostname or "")
    use_ssl = reader.environ.get(USE_SSL_VARIABLE, "").strip() or "true"
    if reader.check(USE_SSL_VARIABLE, use_ssl, parsers.parse_boolean, fallback=False) and unencrypted:
        reader.reject(
            "api_host",
            "http:// would send the token unencrypted; use https://, or accept it with "
            f"{USE_SSL_VARIABLE}=false",
        )
    elif unencrypted:
        reader.warnings.append(f"the token is sent unencrypted to {url.hostname}")
    return Connection(
        base_url=url.geturl(),
        token=reader.token,
        ca_certificates=reader.read_optional("ca_cert", parsers.parse_certificates),
        proxy=read_proxy(reader, url),
        portal=next((cloud.portal for cloud in CLOUDS.values() if cloud.api_host == url.hostname), None),
    )


def _parse_cloud(region: str) -> Cloud:
    if cloud := CLOUDS.get(region.lower()):
        return cloud
    raise ValueError(f"must be {_REGIONS}, not {parsers.quote(region)}")
