"""From the text of an input to its value: what is accepted, what is refused, and what a refusal shows."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.parsers import parse_boolean, parse_seconds, parse_test_run_ids, parse_whole_number

Parser = Callable[[str], object]


def each(*groups: tuple[object, Iterable[str]]) -> pytest.MarkDecorator:
    """Run the test for each text, with the first member of its group as what is expected."""
    cases = [(text, expected) for expected, texts in groups for text in texts]
    return pytest.mark.parametrize(
        ("text", "expected"), cases, ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", repr(value))[:60]
    )


def assert_refused(parse: Parser, text: str, message: str) -> None:
    """Fail unless the text is refused with exactly this message."""
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}\Z"):
        parse(text)


NO_ID = "is required; give the input test_run_id, or set TEST_RUN_ID (did the recording job define"
INVALID = "is not an id; an id has 1 to 128 of the characters A-Z a-z 0-9 _ -"
NOT_A_LIST = "starts like a YAML or JSON list, but is not a list of plain ids"


@each(
    (f"{NO_ID} this output?)", ["", "null", "[null]", "- null", "[]", ",", " , ,", "\n"]),
    (f"it {INVALID}", "../x 5080/stop . 5080?x=1 5080#x 5080%2f.. tr_1;tr_2 {5080} '5080' é".split()),
    (f"it {INVALID}", ["\x00", "tr_\x1b[31m", "\N{FULLWIDTH DIGIT FIVE}080", "\ud800", "a" * 129]),
    (f"it {INVALID}", ['["a b"]', '[""]', "[~]", "[1.5]", "- a\n  - b", '["1,2"]', "-\n"]),
    (f"entry 2 of 3 {INVALID}", ["tr_1,tr/2,tr_3", "[1, ./2, 3]"]),
    (f"it {INVALID} (a variable that was not expanded?)", ["$ID"]),
    (NOT_A_LIST, ["[[1, 2], 3]", "[1, {id: 1}]", "- a: 1", "- - 1", "[1, 2", "[1] 2", '["a]', "[a]: b"]),
    (NOT_A_LIST, ["[1]\n---\n[2]", "[*unknown]", "[&a [x, x], *a]", "[%", "[!<", "[\x00]", "[\ud800]"]),
    (NOT_A_LIST, ["[" * 10_000, "- " * 20_000 + "1"]),
)
def test_what_is_not_an_id_or_list_of_ids_is_refused_and_not_shown(text: str, expected: str) -> None:
    assert_refused(parse_test_run_ids, text, expected)


@each(
    (("-",), ["-"]),
    (("1", "2"), ["1,2", "1, 2", "1 2", "1\t2", "1\r\n2", ",1\n,,\n 2,", '["1","2"]', "['1', '2']"]),
    (("1", "2"), ["[1,\n 2,\n]", "- 1\n- 2", '-\n  1\n-   "2"', "-\r\n 1\n- 2  # why", "[&x 1, 2, *x]"]),
    (("1", "2"), ["[!!binary 1, !!python/name:os.system 2]"]),
)
def test_ids_may_be_written_in_many_ways(text: str, expected: tuple[str, ...]) -> None:
    assert parse_test_run_ids(text) == expected


# In YAML, a dash alone begins an entry, and dashes alone may begin a document. ["null"] means no id.
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True).filter(lambda text: text.strip("-"))
ODD_IDS = ["0123", "1_000", "0x10", "1e3", "yes", "null", "2024-01-01", "-5080", "a" * 128]
SEPARATED = [("", separator, "") for separator in (",", " ", "\n", "\r\n", " ,\t")]


@pytest.mark.parametrize("form", [*SEPARATED, ('["', '","', '"]'), ("[", ", ", "]"), ("- ", "\n- ", "")])
@given(ids=st.lists(IDS, min_size=1, max_size=8).filter(lambda ids: ids != ["null"]))
@example([*ODD_IDS, *ODD_IDS[::-1]])
def test_ids_are_read_back_in_order_without_duplicates(form: tuple[str, ...], ids: list[str]) -> None:
    before, separator, after = form
    assert parse_test_run_ids(before + separator.join(ids) + after) == tuple(dict.fromkeys(ids))


ANY_TEXT = st.text(st.characters(codec=None)) | st.text("[]{}-,:&*!'\"\n #a1|>%@`").map("[".__add__)


@given(ANY_TEXT)
def test_any_text_gives_ids_that_fit_into_a_path_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        ids = parse_test_run_ids(text)
        assert ids == tuple(dict.fromkeys(ids)) != ()
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", test_run_id) for test_run_id in ids)


@pytest.mark.parametrize("text", ["hush\n", *(f"hush{bad}x" for bad in " \t\n\r\x00\x1b\x7fü\xa0")])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"\(not shown here\)") as refused:
        parsers.parse_token(text)
    assert "hush" not in str(refused.value)


NO_NUMBERS = ["", *"-1 +1 nan inf 1e5 0x10 1_0 1,5 .5 5. ² \N{ARABIC-INDIC DIGIT THREE} 1111111111".split()]
NO_NUMBERS += ["1 0", "1\n", "9" * 5000, "x\n::error::y"]


@each(
    ((parse_seconds, "a number of seconds, 0 to 86400"), NO_NUMBERS),
    ((parse_seconds, "a number of seconds, 0 to 86400"), "1.0000001 86400.1 86401 120s 2m".split()),
    ((parse_whole_number, "a whole number, 0 or more"), [*NO_NUMBERS, "1.0"]),
    ((parse_boolean, "true or false"), ["", "true false", "true\n", *"2 y n maybe 10 İ".split()]),
)
def test_an_invalid_number_or_boolean_is_refused_and_quoted(text: str, expected: tuple[Parser, str]) -> None:
    parse, rule = expected
    assert_refused(parse, text, f"must be {rule}, not {parsers.quote(text)}")


def test_valid_tokens_numbers_and_booleans_are_read() -> None:
    tokens = "token_Qwe12345 aB3/+== x a%b !~ -".split()
    assert [parsers.parse_token(text) for text in tokens] == tokens
    seconds, numbers = "0 0.0 120 1.5 007 0.000001 86400 86400.0".split(), "0 7 007 999999999".split()
    assert [parse_seconds(text) for text in seconds] == [0, 0, 120, 1.5, 7, 1e-6, 86_400, 86_400]
    assert [parse_whole_number(text) for text in numbers] == [0, 7, 7, 999_999_999]
    assert {parse_boolean(text) for text in "true True TRUE yes on On 1".split()} == {True}
    assert {parse_boolean(text) for text in "false False FALSE no NO off 0".split()} == {False}


def test_a_quoted_text_is_on_one_line_and_cut_after_40_characters() -> None:
    quoted = [parsers.quote(text) for text in ("", "x\n\x1b", "x" * 40, "x" * 41)]
    assert quoted == ["''", r"'x\n\x1b'", f"'{'x' * 40}'", f"'{'x' * 40}...'"]


URLS = {"::1": "https://[::1]", "FE80::A": "https://[FE80::A]", "https://[::1]:8/b": "https://[::1]:8/b"}
URLS |= {"host/base/": "https://host/base", "HTTPS://host/": "https://host", "http://h:80": "http://h:80"}
HOSTS = "us1.api.wallarm.com wallarm x.io x host.example. _u-n_.sc_o 10.0.0.1 10.0.0.1:1 h:65535".split()
HOSTS += ["[2001:db8::7]", "[FE80::1]", "[::FFFF:1.2.3.4]:8443", "a" * 63, "a." * 126 + "a"]
HOSTS += ["host/base", "host/1/Ab/_b/~C9/-d/e.F~_-"]


@each(*((url, [text]) for text, url in URLS.items()), *((f"https://{text}", [text]) for text in HOSTS))
def test_a_host_a_port_and_a_base_url_are_accepted(text: str, expected: str) -> None:
    assert parsers.parse_base_url(text).geturl() == expected


NO_URL, NO_HOST = "is not an address of an API", "has no valid host and port"


@each(
    (NO_URL, "ftp://host file:///etc/passwd htttps://host ://host //host https:host".split()),
    (NO_URL, ["https://user:password@host", "user:password@host", "user@host", "https://password%40@host"]),
    (NO_URL, "host?x=1 https://host/? https://host/a?b https://host#f host# https://h/a;b".split()),
    (NO_URL, "h/../x https://h/./x h/a/.. h//x h/%2e%2e/x h/a%00 h/.git host\\x https:\\\\host".split()),
    (NO_URL, ["ho st", "ho\tst", "ho\nst", "host\x00", "host\x1b[0m", "host\x7f", "hóst", "host: 80"]),
    (NO_URL, "[::1 ::1] [] [::g] [host] [1.2.3.4] [[::1]] fe80::1%eth0".split()),
    (NO_URL, "host:65536 host:-1 host:+80 host:8o host:80:80 https://[::1]:x".split()),
    (NO_HOST, "https:// https:///path /path http:/host . .. a..b .host host.. -host host- host.-x".split()),
    (NO_HOST, "256.1.1.1 1.2.3 1 1.2.3.4.5 10.0.0.1. * <host> ${HOST} host,other password%40host".split()),
    (NO_HOST, "host:0 host: host:000080 https://host: https://[::1]: https://[::1]:0".split()),
    (NO_HOST, "evil.example[::1] http://evil.example[::1] https://[::1]x [v1.x] [fe80::1%25eth0]".split()),
    (NO_HOST, ["a" * 64, "a." * 126 + "ab"]),
)
def test_what_is_not_an_address_is_refused_and_not_shown(text: str, expected: str) -> None:
    advice = "give a host, host:port or base URL such as https://us1.api.wallarm.com"
    assert_refused(parsers.parse_base_url, text, f"{expected}; {advice}")


LIKE_URLS = r"(https?://|HTTP://)?[A-Za-z0-9_.:\[\]%v-]{1,20}(:[0-9]{0,5})?(/[A-Za-z0-9_.~%?#/-]{0,5})?"


@given(st.from_regex(LIKE_URLS, fullmatch=True) | st.ip_addresses().map(str) | ANY_TEXT)
@example("http://evil.example[::1]")
def test_an_accepted_address_means_the_same_to_httpx(text: str) -> None:
    with contextlib.suppress(ValueError):
        url = parsers.parse_base_url(text)
        seen = httpx.URL(url.geturl())
        assert (seen.scheme, seen.host, seen.path) == (url.scheme, url.hostname, url.path or "/")
        assert (seen.userinfo, seen.query, seen.fragment) == (b"", b"", "")


PEM_ADVICE = "give the path of a PEM file (relative to the working directory) or the PEM text itself"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
NO_PEM = "has no valid certificate in it"


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_certificates_of_a_text_or_4_mib_of_a_file_are_taken_without_the_rest(
    ending: str, ca_pem: str
) -> None:
    text = f"# Root of Müller & Söhne\n{ca_pem}\n{PRIVATE_KEY}\n{ca_pem}".replace("\n", ending)
    Path("certs").mkdir()
    Path("certs/ca.pem").write_bytes(f"{text:\n>{4 << 20}}\n{ca_pem}".encode("latin-1"))
    pem = ca_pem.strip().replace("\n", ending)
    assert parsers.parse_certificates(text) == parsers.parse_certificates("certs/ca.pem") == f"{pem}\n{pem}"


@each(
    (NO_PEM, [BEGIN, f"{BEGIN}\nAAAA\n{END}", f"{BEGIN}\n not base64!\n{END}", PRIVATE_KEY]),
    (NO_PEM, ["empty", "binary", "key"]),
    ("the file {} cannot be read: No such file or directory", ["missing"]),
    ("the file {} cannot be read: File name too long", ["x" * 999]),
    ("the file {} cannot be read: Too many levels of symbolic links", ["loop"]),
    ("the file {} is not a regular file", [".", "/dev/zero", "pipe"]),
    ("the file {} embedded null byte", ["nul\x00"]),
)
def test_a_text_or_file_without_a_valid_certificate_is_refused_at_once(text: str, expected: str) -> None:
    for name, content in {"empty": b"", "binary": b"\xff\xfe\x00", "key": PRIVATE_KEY.encode()}.items():
        Path(name).write_bytes(content)
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    message = f"{expected.format(parsers.quote(text))}; {PEM_ADVICE}"
    assert_refused(parsers.parse_certificates, text, message)
