"""From the text of an input to its value: what is accepted, what is refused, and what a refusal shows."""

import contextlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wallarm_fast.inputs import parsers
from wallarm_fast.inputs.addresses import parse_base_url, parse_proxy
from wallarm_fast.inputs.parsers import parse_test_run_ids

Parse = Callable[[str], object]
Table = dict[Parse, list[tuple[object, str | list[str]]]]
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def each(table: Table) -> pytest.MarkDecorator:
    """Run the test for each parser, each text (a string is split) and what its group expects."""
    cases = [
        (parse, text, expected)
        for parse, groups in table.items()
        for expected, texts in groups
        for text in (texts.split() if isinstance(texts, str) else texts)
    ]
    ids = [f"{parse.__name__}-{text!a}"[:50] for parse, text, _ in cases]
    return pytest.mark.parametrize(("parse", "text", "expected"), cases, ids=ids)


@pytest.fixture(autouse=True)
def _among_files_that_are_no_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in {"empty": b"", "binary": b"\xff\xfe\x00", "key": PRIVATE_KEY.encode()}.items():
        Path(name).write_bytes(content)
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")


UNSET = "(did the recording job define this output?)"
NO_ID = f"is required; pass the input test_run_id, or set TEST_RUN_ID {UNSET}"
INVALID = "is not an id; an id has 1 to 128 of the characters A-Z a-z 0-9 _ -"
NOT_A_LIST = "starts like a YAML or JSON list, but is not a list of plain ids"
LONG = "has more than 4096 characters (not shown here); is it the right secret, or file?"
INSIDE = "has white space, a control character or a non-ASCII letter inside (not shown here); copy it again, "
INSIDE += "without line breaks"
NO_SECONDS = "must be a number of seconds, 0 to 86400, not {}"
NUMBERS = "-1 +1 nan inf 1e5 0x10 1_0 1,5 .5 5. ² \N{ARABIC-INDIC DIGIT THREE} 1111111111".split()
NUMBERS += ["", "1 0", "1\n", "9" * 5000, "x\n::error::y"]
ADVICE = "use a host, host:port or base URL such as https://us1.api.wallarm.com"
NO_URL, NO_HOST = f"is not an address of an API; {ADVICE}", f"has no valid host and port; {ADVICE}"
NO_PROXY = "is not the address of an HTTP proxy; use one such as http://proxy.example:3128"
PEM = "use the path of a PEM file (relative to the working directory) or the PEM text itself"
NO_PEM, NO_FILE = f"has no valid certificate in it; {PEM}", f"the file {{}} cannot be read: %s; {PEM}"
REFUSED: Table = {
    parse_test_run_ids: [
        (NO_ID, ["", "null", "[null]", "- null", "--- [null]", "[]", ",", " , ,", "\n"]),
        (f"entry 2 of 2 is null {UNSET}", ["[1, null]", '["1", "null"]', "- 1\n- null", "1,null"]),
        (f"it {INVALID}", "../x 5080/stop . 5080?x=1 5080#x 5080%2f.. tr_1;tr_2 {5080} '5080 é"),
        (f"it {INVALID}; remove the quotes", "'5080' \"5080\""),
        (f"it {INVALID}", ["\x00", "tr_\x1b[31m", "\N{FULLWIDTH DIGIT FIVE}080", "\ud800", "a" * 129]),
        (f"it {INVALID}", ['["a b"]', '[""]', "[~]", "[1.5]", "- a\n  - b", '["1,2"]', "-\n"]),
        (f"entry 1 of 2 {INVALID}", ["tr/1,tr_2", "[./1, 2]"]),
        (f"it {INVALID} (a variable that was not expanded?)", ["tr_$ID", "${{id}}"]),
        ("it is {}, which looks like a variable that was not expanded", "$ID ${ID} $(ID) $(job.id)"),
        (NOT_A_LIST, ["[[1, 2], 3]", "[1, {id: 1}]", "- a: 1", "- - 1", "[1, 2", "[1] 2", '["a]', "[a]: b"]),
        (NOT_A_LIST, ["[1]\n---\n[2]", "[*unknown]", "[&a [x, x], *a]", "[%", "[!<", "[\x00]", "[\ud800]"]),
        (NOT_A_LIST, ["[" * 900, "- " * 3_000 + "1", '["\\U00110000"]', '["\\UFFFFFFFF"]', "---\n1"]),
    ],
    parsers.parse_token: [
        ("looks like a variable that was not expanded (not shown here)", "$TOKEN ${TOKEN} $(TOKEN)"),
        (LONG, ["x" * 4097, "x\n" * 4097]),
        (INSIDE, ["x\n", *(f"x{bad}x" for bad in " \t\n\r\x00\x1b\x7fü\xa0")]),
    ],
    parsers.parse_seconds: [(NO_SECONDS, [*NUMBERS, *"1.0000001 86400.1 86401 120s 2m".split()])],
    parsers.parse_whole_number: [("must be a whole number, 0 or more, not {}", [*NUMBERS, "1.0"])],
    parsers.parse_boolean: [("must be true or false, not {}", ["", "true true", "true\n", "2", "y", "İ"])],
    parse_base_url: [
        (NO_URL, "ftp://host file:///etc/passwd htttps://host ://host //host https:host https://hush%40@host"),
        (NO_URL, "https://me:hush@host me:hush@host me@host host?x=1 https://host/? https://host/a?b host#"),
        (NO_URL, "https://host#f https://h/a;b h/../x https://h/./x h/a/.. h// h//x h/%2e%2e/x h/a%00"),
        (NO_URL, "host\\x https:\\\\h [::1 ::1] [] [::g] [host] [1.2.3.4] [[::1]] fe80::1%eth0 https://[::1]:x"),
        (NO_URL, "h/.git host:65536 host:-1 host:+80 host:8o host:80:80 hóst host\x7f"),
        (NO_URL, ["ho st", "ho\tst", "ho\nst", "host\x00", "host\x1b[0m", "host: 80"]),
        (NO_HOST, "https: https:/// /path http:/host . .. a..b .host host.. -host host- host.-x 256.1.1.1 1"),
        (NO_HOST, "1.2.3 1.2.3.4.5 10.0.0.1. * <host> ${HOST} host,other hush%40host host:0 host:"),
        (NO_HOST, "https://host: https://[::1]: https://[::1]:0 x.example[::1] http://x.example[::1] [v1.x]"),
        (NO_HOST, f"host:000080 https://[::1]x [fe80::1%25eth0] {'a' * 64} {'a.' * 126}ab"),
    ],
    parse_proxy: [
        (NO_PROXY, ":// http:// ftp://p:1 socks5://me:hush@p:1 //p :1 http:/p me:hush@ p:0 p:"),
        (NO_PROXY, "p:65536 p:x p:1:2 [::1 http://[::1]1 1.2.3 . a..b me:hush me:hu/sh@p me:hu#sh@p"),
        (NO_PROXY, ["", "me:hush @p", "p\n", "p\x7f", "me:h\xfcsh@p", "\xfc.example", "http://a b:1"]),
    ],
    parsers.parse_certificates: [
        (NO_PEM, [BEGIN, f"{BEGIN}\nAAAA\n{END}", f"{BEGIN}\n not base64!\n{END}", PRIVATE_KEY]),
        (NO_PEM, ["empty", "binary", "key"]),
        (NO_FILE % "No such file or directory", ["missing"]),
        (NO_FILE % "File name too long", ["x" * 999]),
        (NO_FILE % "Too many levels of symbolic links", ["loop"]),
        (f"the file {{}} is not a regular file; {PEM}", [".", "/dev/zero", "pipe"]),
        (f"the file {{}} embedded null byte; {PEM}", ["nul\x00"]),
    ],
}  # fmt: skip


@each(REFUSED)
def test_an_invalid_text_is_refused_in_these_words(parse: Parse, text: str, expected: str) -> None:
    message = expected.replace("{}", parsers.quote(text))
    with pytest.raises(ValueError, match=rf"^{re.escape(message)}\Z"):
        parse(text)


# Valid with and without a scheme.
HOSTS = "us1.api.wallarm.com x.io x host.x. _u-n_.sc_o 10.0.0.1 10.0.0.1:1 h:65535 h/1/Ab/_b/~C9/-d/e.F~_- "
HOSTS += f"[2001:db8::7] [FE80::1] [::FFFF:1.2.3.4]:8443 {'a' * 63} {'a.' * 126}a h/v1x h/xv1 h/V1 h/v1/x v1"
PROXIES = "p p.x:3128 [::1]:8 10.0.0.1:1/ me:a%40b@p:1 me:a@b@p:1 me:@p me:a:b@p"
ACCEPTED: Table = {
    parse_test_run_ids: [
        (("-",), ["-"]),
        (("1", "2"), ["---\n- 1\n- 2", "--- [1, 2]", "---\r\n# why\r\n- 1\r\n- 2\r\n..."]),
        (("1", "2"), ["1,2", "1, 2", "1 2", "1\t2", "1\r\n2", ",1\n,,\n 2,", '["1","2"]', "['1', '2']"]),
        (("1", "2"), ["[1,\n 2,\n]", "- 1\n- 2", '-\n  1\n-   "2"', "-\r\n 1\n- 2  # why", "[&x 1, 2, *x]"]),
        (("1", "2"), ["[!!binary 1, !!python/name:os.system 2]"]),
    ],
    parsers.parse_token: [
        (text, text) for text in ["x" * 4096, *"token_Qwe12345 aB3/+== x a%b !~ - $ $a/b ${a".split()]
    ],
    parsers.parse_seconds: [(0, "0 0.0"), (1.5, "1.5 001.5"), (1e-6, "0.000001"), (86_400, "86400 86400.0")],
    parsers.parse_whole_number: [(0, "0"), (7, "7 007"), (999_999_999, "999999999")],
    parsers.parse_boolean: [(True, "true True TRUE yes on On 1"), (False, "false False FALSE no NO off 0")],
    parse_base_url: [
        *((urlsplit(f"https://{text}"), f"{text} https://{text}") for text in HOSTS.split()),
        *[(urlsplit("https://[FE80::A]"), "FE80::A"), (urlsplit("http://h:80"), "http://h:80")],
        *[(urlsplit("https://h"), "h/ h/v1 h/v1/ HTTPS://h"), (urlsplit("https://h/v1"), "h/v1/v1")],
        (urlsplit("https://h/base"), "h/base/ h/base/v1 h/base/v1/"),
    ],
    parse_proxy: [
        *((f"http://{text}", f"{text} http://{text}") for text in PROXIES.split()),
        ("https://p:1", "https://p:1 HTTPS://p:1"),
    ],
    parsers.quote: [(r"'x\n\x1b'", ["x\n\x1b"]), (f"'{'x' * 40}'", "x" * 40), (f"'{'x' * 40}...'", "x" * 41)],
}  # fmt: skip


@each(ACCEPTED)
def test_a_valid_text_is_read(parse: Parse, text: str, expected: object) -> None:
    assert parse(text) == expected


# In YAML, a dash alone begins an entry, and dashes alone may begin a document. "null" means no id.
ANY_ID = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)
IDS = ANY_ID.filter(lambda text: text.strip("-") not in ("", "null"))
ODD_IDS = ["0123", "1_000", "0x10", "1e3", "yes", "Null", "2024-01-01", "-5080", "a" * 128]
SEPARATED = [("", separator, "") for separator in (",", " ", "\n", "\r\n", " ,\t")]


@pytest.mark.parametrize("form", [*SEPARATED, ('["', '","', '"]'), ("[", ", ", "]"), ("---\n- ", "\n- ", "")])
@given(ids=st.lists(IDS, min_size=1, max_size=8))
@example([*ODD_IDS, *ODD_IDS[::-1]])
def test_ids_are_read_back_in_order_without_duplicates(form: tuple[str, ...], ids: list[str]) -> None:
    before, separator, after = form
    assert parse_test_run_ids(before + separator.join(ids) + after) == tuple(dict.fromkeys(ids))


ANY_TEXT = st.text(st.characters(codec=None)) | st.text("[]{}-,:&*!'\"\n #a1|>%@`").map("[".__add__)
LIKE_URLS = r"(https?://|HTTP://)?[A-Za-z0-9_.:\[\]%v-]{1,20}(:[0-9]{0,5})?(/[A-Za-z0-9_.~%?#/-]{0,5})?"


@given(ANY_TEXT)
def test_any_text_gives_ids_that_fit_into_a_path_or_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        ids = parse_test_run_ids(text)
        assert ids == tuple(dict.fromkeys(ids)) != ()
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,128}", test_run_id) for test_run_id in ids)


@given(st.from_regex(LIKE_URLS, fullmatch=True) | st.ip_addresses().map(str) | ANY_TEXT)
@example("http://evil.example[::1]")
def test_an_accepted_address_means_the_same_to_httpx(text: str) -> None:
    with contextlib.suppress(ValueError):
        url = parse_base_url(text)
        seen = httpx.URL(url.geturl())
        assert (seen.scheme, seen.host, seen.path) == (url.scheme, url.hostname, url.path or "/")
        assert (seen.userinfo, seen.query, seen.fragment) == (b"", b"", "")
    with contextlib.suppress(ValueError):
        url = urlsplit(parse_proxy(text))
        seen = httpx.Proxy(url.geturl()).url
        assert (seen.scheme, seen.host, seen.port) == (url.scheme, url.hostname, url.port)


# As environment files and secrets damage them.
DAMAGED = {"CRLF": "\r\n", "backslash n": "\\n", "backslash r n": "\\r\\n", "blank": " ", "nothing": ""}


@pytest.mark.parametrize("ending", ["\n", *DAMAGED.values()], ids=["LF", *DAMAGED])
def test_only_the_certificates_of_a_text_or_of_4_mib_of_a_file_are_taken(ending: str, ca_pem: str) -> None:
    text = f"# Root of Müller & Söhne\n{ca_pem}\n{PRIVATE_KEY}\n{ca_pem}".replace("\n", ending)
    Path("certs").mkdir()
    Path("certs/ca.pem").write_bytes(f"{text:\n>{4 << 20}}\n{ca_pem}".encode("latin-1"))
    assert parsers.parse_certificates(text) == f"{ca_pem}{ca_pem}"
    assert parsers.parse_certificates("certs/ca.pem") == f"{ca_pem}{ca_pem}"
