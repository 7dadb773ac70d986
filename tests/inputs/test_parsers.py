"""From the text of one input to its value: what is taken, what is refused, and what a refusal shows."""

import json
import os
import re
import string
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stop_recording import inputs

ID_CHARACTERS = string.ascii_letters + string.digits + "_-"
IDS = st.text(ID_CHARACTERS, min_size=1, max_size=128)
MANY_IDS = st.lists(IDS.filter(lambda test_run_id: test_run_id != "-"), min_size=1, max_size=8)


def read_ids(text: str) -> tuple[str, ...]:
    return inputs.test_run_ids(text)


# Ids of test runs.


@pytest.mark.parametrize(
    "text",
    [
        "../../v1/other",
        "5080/../5081",
        "5080/action/stop",
        "..",
        ".",
        "5080?x=1",
        "5080#x",
        "5080%2f..",
        "tr_1;tr_2",
        "tr 1".replace(" ", "\N{NO-BREAK SPACE}/"),
        "tr_\x00",
        "tr_\x1b[31m",
        "tr_\x7f",
        "\N{FULLWIDTH DIGIT FIVE}080",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "tr_é",
        "\N{RIGHT-TO-LEFT OVERRIDE}5080",
        "\ud800",
        "{5080}",
        "'5080'",
        "$(id)",
        "a" * 129,
    ],
)
def test_what_is_not_an_id_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="is not an id; an id has 1 to 128 of the characters") as refused:
        read_ids(text)
    assert text not in str(refused.value)


@pytest.mark.parametrize("text", ["", "null", "[]", "[ ]", ",", " , ,", "\n"])
def test_no_id_at_all_is_refused_with_where_to_give_one(text: str) -> None:
    with pytest.raises(ValueError, match="is required; give the input test_run_id, or set TEST_RUN_ID"):
        read_ids(text)


@pytest.mark.parametrize(
    "text",
    [
        "[[1, 2], 3]",
        "[{id: 1}]",
        "- a: 1",
        "- - 1",
        "[1, 2",
        "[1]]",
        "[1] 2",
        '["a]',
        "[1]\n---\n[2]",
        "[*unknown]",
        "[&x a, *x]",
        "[\x00]",
        "[\ud800]",
        "[&a [x, x], &b [*a, *a], &c [*b, *b], &d [*c, *c], *d]",
        "- &a [x, x, x, x]\n- &b [*a, *a, *a, *a]\n- [*b, *b, *b, *b]",
        "[" * 100_000,
        "- " * 20_000 + "1",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_a_list_of_anything_but_plain_ids_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a list of plain ids"):
        read_ids(text)


@pytest.mark.parametrize(
    "text", ['["a b"]', '[""]', '["a/b"]', "[~]", "[1.5]", "- a\n  - b", '["1,2"]', "[1, ./2]"]
)
def test_a_list_with_something_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an id"):
        read_ids(text)


def test_of_several_ids_the_bad_one_is_told_by_its_place() -> None:
    with pytest.raises(ValueError, match=r"^entry 2 of 3 is not an id"):
        read_ids("tr_1,tr/2,tr_3")


@pytest.mark.parametrize(
    "text",
    [
        "tr_1,tr_2",
        "tr_1, tr_2",
        "tr_1 tr_2",
        "tr_1\ttr_2",
        "tr_1\ntr_2",
        "tr_1\r\ntr_2",
        "tr_1,,tr_2,",
        ",tr_1\n,\n tr_2",
        '["tr_1","tr_2"]',
        "['tr_1', 'tr_2']",
        "[tr_1, tr_2]",
        "[tr_1,\n tr_2,\n]",
        "- tr_1\n- tr_2",
        '- "tr_1"\n-   tr_2',
        "- tr_1  # the first\n- tr_2",
        "[!!binary tr_1, !!python/name:os.system tr_2]",
    ],
)
def test_several_ids_may_be_written_in_many_ways(text: str) -> None:
    assert read_ids(text) == ("tr_1", "tr_2")


@pytest.mark.parametrize("text", ["0123", "[0123]", "- 0123", '["0123"]'])
def test_an_id_keeps_its_leading_zero(text: str) -> None:
    assert read_ids(text) == ("0123",)


@pytest.mark.parametrize(
    "text", ["[1_000, 0x10, 1e3, yes, null, 2024-01-01]", "1_000,0x10,1e3,yes,null,2024-01-01"]
)
def test_an_id_is_never_taken_for_a_number_a_boolean_or_a_date(text: str) -> None:
    assert read_ids(text) == ("1_000", "0x10", "1e3", "yes", "null", "2024-01-01")


def test_an_id_may_begin_with_a_dash() -> None:
    assert read_ids("-5080") == ("-5080",)


def test_an_id_of_128_characters_is_taken() -> None:
    assert read_ids("a" * 128) == ("a" * 128,)


@pytest.mark.parametrize("text", ["b,a,b,c,a", "[b, a, b, c, a]"])
def test_duplicates_count_once_where_they_come_first(text: str) -> None:
    assert read_ids(text) == ("b", "a", "c")


@given(MANY_IDS, st.sampled_from([",", " ", "\n", "\t", ", ", "\r\n", " ,\n"]))
def test_separated_ids_are_read_back_in_order(ids: list[str], separator: str) -> None:
    assert inputs.test_run_ids(separator.join(ids)) == tuple(dict.fromkeys(ids))


@given(MANY_IDS)
def test_a_json_list_of_ids_is_read_back_in_order(ids: list[str]) -> None:
    assert inputs.test_run_ids(json.dumps(ids)) == tuple(dict.fromkeys(ids))


@given(MANY_IDS)
def test_a_yaml_block_list_of_ids_is_read_back_in_order(ids: list[str]) -> None:
    assert inputs.test_run_ids("\n".join(f"- {i}" for i in ids)) == tuple(dict.fromkeys(ids))


@given(st.text() | st.text("[]{}-,:&*!'\"\n #ab1|>%@`") | st.text("[]-, \n").map("[".__add__))
@example("[!<")
@example("[%")
def test_any_text_gives_ids_that_fit_into_a_path_or_a_refusal(text: str) -> None:
    try:
        ids = read_ids(text)
    except ValueError:
        return
    assert ids
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", test_run_id) for test_run_id in ids)
    assert len(set(ids)) == len(ids)


# The token.


@pytest.mark.parametrize(
    "text",
    [
        "pass word",
        "pass\nword",
        "tab\tinside",
        "cr\rinside",
        "nul\x00",
        "esc\x1b[0m",
        "del\x7f",
        "ümlaut",
        "pass\N{NO-BREAK SPACE}word",
    ],
)
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"\(not shown here\)") as refused:
        inputs.token(text)
    assert text not in str(refused.value)
    assert text.split(maxsplit=1)[0] not in str(refused.value)


def test_no_token_is_refused_with_where_to_give_one() -> None:
    with pytest.raises(ValueError, match=r"is required; .*WALLARM_API_TOKEN or WALLARM_API_TOKEN_FILE"):
        inputs.token("")


@pytest.mark.parametrize("text", ["token_Qwe12345", "aB3/+==", "x", "a%b", "!~", "-", "a" * 4096])
def test_a_token_of_visible_ascii_is_taken_as_it_is(text: str) -> None:
    assert inputs.token(text) == text


# Numbers and booleans.


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "+1",
        "nan",
        "inf",
        "-inf",
        "Infinity",
        "1e5",
        "1E2",
        "0x10",
        "1_0",
        "1,5",
        ".5",
        "5.",
        "1 0",
        "1.0000001",
        "86400.1",
        "86401",
        "1" * 10,
        "9" * 5000,
        "\N{ARABIC-INDIC DIGIT THREE}",
        "\N{FULLWIDTH DIGIT THREE}",
        "\N{SUPERSCRIPT TWO}",
        "2m",
        "120s",
        "",
        "true",
    ],
)
def test_what_is_no_plain_number_of_seconds_up_to_a_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number of seconds, 0 to 86400, not"):
        inputs.seconds(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("0.0", 0.0),
        ("120", 120.0),
        ("1.5", 1.5),
        ("007", 7.0),
        ("0.000001", 1e-6),
        ("86400", 86_400.0),
    ],
)
def test_seconds_may_have_decimals(text: str, value: float) -> None:
    assert inputs.seconds(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "+1",
        "1.0",
        "1.5",
        "nan",
        "inf",
        "1e5",
        "0x1",
        "1 0",
        "\N{ARABIC-INDIC DIGIT THREE}",
        "²",
        "1" * 10,
        "",
    ],
)
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number, 0 or more, not"):
        inputs.whole_number(text)


@given(st.integers(0, 999_999_999))
def test_a_whole_number_is_read_back(number: int) -> None:
    assert inputs.whole_number(str(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "y",
        "n",
        "t",
        "maybe",
        "true false",
        "enabled",
        "10",
        "İ",
        "tru\N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
def test_what_is_neither_true_nor_false_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be true or false, not"):
        inputs.boolean(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [(text, True) for text in ("true", "True", "TRUE", "yes", "on", "On", "1")]
    + [(text, False) for text in ("false", "False", "FALSE", "no", "NO", "off", "0")],
)
def test_a_boolean_is_read_in_any_case(text: str, value: bool) -> None:
    assert inputs.boolean(text) is value


@pytest.mark.parametrize("read", [inputs.seconds, inputs.whole_number, inputs.boolean])
def test_a_refused_value_is_shown_on_one_line_and_cut(read: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="must be") as refused:
        read("x\n::error::y" + "z" * 1000)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


# The address of the API.


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("us1.api.wallarm.com", "https://us1.api.wallarm.com"),
        ("wallarm", "https://wallarm"),
        ("host:8443", "https://host:8443"),
        ("host.example.", "https://host.example."),
        ("under_score.example", "https://under_score.example"),
        ("10.0.0.1", "https://10.0.0.1"),
        ("10.0.0.1:1", "https://10.0.0.1:1"),
        ("::1", "https://[::1]"),
        ("2001:db8::7", "https://[2001:db8::7]"),
        ("[2001:db8::7]", "https://[2001:db8::7]"),
        ("[2001:db8::7]:65535", "https://[2001:db8::7]:65535"),
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("HTTPS://host", "https://host"),
        ("http://host:80", "http://host:80"),
        ("https://host/base/path", "https://host/base/path"),
        ("https://host/base/path/", "https://host/base/path"),
        ("host/base", "https://host/base"),
        ("https://host/~a/b_c-d.e", "https://host/~a/b_c-d.e"),
        ("https://[::1]:8443/base/", "https://[::1]:8443/base"),
    ],
)
def test_a_host_a_port_and_a_base_url_are_taken(text: str, url: str) -> None:
    assert inputs.base_url(text).geturl() == url


@pytest.mark.parametrize(
    "text",
    [
        "host:0",
        "host:",
        "host:65536",
        "host:99999",
        "host:-1",
        "host:+80",
        "host:8o",
        "host:80:80",
        "host: 80",
        "https://host:",
        "https://[::1]:",
        "https://[::1]:0",
        "https://[::1]:x",
    ],
)
def test_a_bad_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give a host, host:port or base URL"):
        inputs.base_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://",
        "https:///path",
        "/path",
        "//host",
        "http:/host",
        "https:host",
        ".",
        "..",
        "a..b",
        ".host",
        "-host",
        "host-",
        "a" * 64,
        "a." * 127 + "ab",
        "256.1.1.1",
        "1.2.3",
        "1",
        "1.2.3.4.5",
        "ho st",
        "ho\tst",
        "ho\nst",
        "host\x00",
        "host\x1b[0m",
        "host\x7f",
        "hóst",
        "h\N{FULLWIDTH FULL STOP}st",
        "host\\x",
        "https:\\\\host",
        "*",
        "<host>",
        "[::1",
        "::1]",
        "[]",
        "[::g]",
        "[1.2.3.4]",
        "[host]",
        "[fe80::1%25eth0]",
        "fe80::1%eth0",
        "[[::1]]",
        "${HOST}",
        "host,other",
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give a host, host:port or base URL"):
        inputs.base_url(text)


@pytest.mark.parametrize(
    "text", ["evil.example[::1]", "http://evil.example[::1]", "https://[::1]x", "[v1.x]", "https://[v1.x]:80"]
)
def test_brackets_hold_an_ipv6_address_and_nothing_stands_beside_them(text: str) -> None:
    with pytest.raises(ValueError, match="give a host, host:port or base URL"):
        inputs.base_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://host",
        "file:///etc/passwd",
        "javascript://host",
        "ws://host",
        "unix://run",
        "htttps://host",
        "://host",
    ],
)
def test_any_scheme_but_http_and_https_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address of an API"):
        inputs.base_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "host?x=1",
        "https://host/?",
        "https://host/a?b",
        "https://host#f",
        "https://host/a#",
        "host#",
        "https://host/a;b",
    ],
)
def test_a_query_or_a_fragment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address of an API"):
        inputs.base_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://h/../x",
        "https://h/./x",
        "https://h/a/..",
        "https://h//x",
        "https://h/%2e%2e/x",
        "https://h/a%00",
        "https://h/.git",
    ],
)
def test_a_path_that_climbs_or_hides_something_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address of an API"):
        inputs.base_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://user:password@host",
        "user:password@host",
        "user@host",
        "https://:password@host/x",
        "https://password%40@host",
    ],
)
def test_credentials_in_the_address_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address of an API") as refused:
        inputs.base_url(text)
    assert "password" not in str(refused.value)
    assert "user" not in str(refused.value)


HOSTS = st.from_regex(r"[a-z0-9_.:\[\]%v-]{1,20}", fullmatch=True) | st.ip_addresses().map(str)


@given(
    st.sampled_from(["", "null", "http://", "https://", "HTTP://"]),
    HOSTS | st.text(max_size=12),
    st.sampled_from(["", "null", ":80", ":0", ":", ":65536", "[::1]", "]"]),
    st.sampled_from(["", "null", "/", "/a", "/a/../b", "?q", "#f"]) | st.text(max_size=5),
)
@example("http://", "evil.example", "[::1]", "")
def test_an_address_that_is_taken_means_the_same_to_the_http_client(
    scheme: str, host: str, port: str, path: str
) -> None:
    try:
        url = inputs.base_url(scheme + host + port + path)
    except ValueError:
        return
    seen = httpx.URL(url.geturl())
    assert seen.host == url.hostname
    assert seen.scheme == url.scheme
    assert not seen.userinfo
    assert not seen.query
    assert not seen.fragment
    assert seen.path == (url.path or "/")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_the_machine_itself_is_loopback(host: str) -> None:
    assert inputs.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.example",
        "mylocalhost",
        "127.0.0.1.example",
        "10.0.0.1",
        "0.0.0.0",
        "::",
        "2001:db8::1",
        "128.0.0.1",
    ],
)
def test_what_may_be_another_machine_is_not_loopback(host: str) -> None:
    assert not inputs.is_loopback(host)


# Certificates and small files.


def test_certificates_are_taken_as_text(ca_pem: str) -> None:
    assert inputs.certificates(ca_pem) == ca_pem.strip()


def test_certificates_are_taken_from_a_file_relative_to_the_working_directory(
    ca_pem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("certs").mkdir()
    Path("certs/ca.pem").write_text(ca_pem)
    assert inputs.certificates("certs/ca.pem") == ca_pem.strip()


def test_only_the_certificates_of_a_bundle_are_taken_comments_and_keys_left(ca_pem: str) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"
    pem = inputs.certificates(f"# Root of Müller & Söhne\n{ca_pem}\n{key}\n{ca_pem}")
    assert pem.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE" not in pem
    assert "Root" not in pem


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_certificate_may_have_any_line_ending(ca_pem: str, ending: str) -> None:
    assert inputs.certificates(ca_pem.replace("\n", ending)).startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----",
    ],
)
def test_text_without_a_valid_certificate_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(
        ValueError, match="has no valid certificate in it; give the path of a PEM file"
    ) as refused:
        inputs.certificates(text)
    assert "c2VjcmV0" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00binary", b"-----BEGIN CERTIFICATE-----"])
def test_a_file_without_a_valid_certificate_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ValueError, match="has no valid certificate in it"):
        inputs.certificates(str(tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing.pem", "cannot be read: No such file or directory"),
        (".", "is not a regular file"),
        ("/dev/zero", "is not a regular file"),
        ("pipe", "is not a regular file"),
        ("loop", "cannot be read: Too many levels of symbolic links"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("nul\x00", "null"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_a_file_that_cannot_be_read_is_refused_at_once(
    path: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    with pytest.raises(ValueError, match=re.escape(why)):
        inputs.small_file(path)


def test_of_a_huge_file_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert len(inputs.small_file(str(tmp_path / "huge"))) <= 4 << 20


def test_a_certificate_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"^the file 'no\.pem' cannot be read: No such file .*; give the path"
    ):
        inputs.certificates("no.pem")
