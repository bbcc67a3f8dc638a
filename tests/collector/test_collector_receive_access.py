"""Who may send: bearer tokens, TLS with and without certificates of clients, and web pages (CORS)."""

import ssl

import grpc
import pytest
from certificates_kit import make_certificates
from google.rpc.status_pb2 import Status
from receive_kit import FREE, JSON, export, post, receiving

from paramedic_collector.config.model import Cors, Server, ServerTls
from paramedic_collector.counters import REFUSED_REQUESTS
from paramedic_collector.receive.addresses import CannotServe
from paramedic_collector.receive.cors import CorsPolicy
from paramedic_collector.receive.grpc import GrpcReceiver
from paramedic_collector.receive.tls import http_context

PAGE = "https://shop.example.com"


@pytest.fixture(scope="module")
def guarded():
    with receiving(tokens=("s3cret", "andr3")) as served:
        yield served


@pytest.mark.parametrize("header", ["Bearer s3cret", "bearer andr3", "BEARER  s3cret "])
def test_a_known_token_lets_its_sender_in(guarded, header):
    assert post(guarded, b"abc", authorization=header).status == 200
    assert export(guarded, b"abc", metadata=(("authorization", header.strip()),)) == b""


WRONG = {
    "": "with a token only: send the header 'authorization: Bearer TOKEN'",
    "Bearer": "not of the form 'Bearer TOKEN'",
    "Basic s3cret": "not of the form 'Bearer TOKEN'",
    "Bearer s3cre": "not one that this collector knows",
    "Bearer s3crets": "not one that this collector knows",
    "Bearer s3cret andr3": "not one that this collector knows",
}


@pytest.mark.parametrize("header", WRONG)
def test_without_a_known_token_one_sentence_says_what_is_missing(guarded, header):
    guarded.intake.taken.clear()
    named = {"authorization": header} if header else {}
    answer = post(guarded, b"abc", **named)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert Status.FromString(answer.text).code == 16
    assert WRONG[header] in Status.FromString(answer.text).message
    with pytest.raises(grpc.RpcError) as caught:
        export(guarded, b"abc", metadata=tuple(named.items()))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert WRONG[header] in caught.value.details()
    assert guarded.intake.taken == []


def test_refused_senders_are_counted(guarded):
    before = guarded.counters.total(REFUSED_REQUESTS, reason="unauthenticated")
    post(guarded, b"abc")
    assert guarded.counters.total(REFUSED_REQUESTS, reason="unauthenticated") == before + 1


def test_pages_are_open_to_everybody(guarded):
    assert post(guarded, None, "/healthz", method="GET").text == b"ok\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_both_protocols_speak_tls(files):
    with receiving(tls=ServerTls(files.cert, files.key)) as served:
        assert post(served, b"abc" * 50_000, tls=ssl.create_default_context(cafile=files.ca)).status == 200
        assert export(served, b"abc", credentials=credentials(files)) == b""
        assert served.intake.payloads == [b"abc" * 50_000, b"abc"]


def test_plain_text_on_a_tls_port_is_turned_away(files):
    with receiving(tls=ServerTls(files.cert, files.key)) as served:
        with pytest.raises(ConnectionError):
            post(served, b"abc")
        with pytest.raises(grpc.RpcError) as caught:
            export(served, b"abc")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert served.intake.taken == []


def test_a_client_must_show_a_certificate_when_client_ca_file_says_so(files):
    with receiving(tls=ServerTls(files.cert, files.key, files.ca)) as served:
        known = ssl.create_default_context(cafile=files.ca)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            post(served, b"abc", tls=known)
        with pytest.raises(grpc.RpcError):
            export(served, b"abc", credentials=credentials(files))
        assert served.intake.taken == []
        known.load_cert_chain(files.client_cert, files.client_key)
        assert post(served, b"abc", tls=known).status == 200
        assert export(served, b"abc", credentials=credentials(files, client=True)) == b""


def credentials(files, client=False):
    read = lambda name: open(name, "rb").read()  # noqa: E731, SIM115
    shown = (read(files.client_key), read(files.client_cert)) if client else ()
    return grpc.ssl_channel_credentials(read(files.ca), *shown)


@pytest.mark.parametrize("setting", ["cert_file", "key_file", "client_ca_file"])
def test_a_missing_file_is_one_sentence_that_names_the_setting(files, setting):
    named = {"cert_file": files.cert, "key_file": files.key, "client_ca_file": files.ca, setting: "/no/such.pem"}
    with pytest.raises(CannotServe) as caught:
        http_context(ServerTls(**named), FREE)
    assert str(caught.value) == (
        f"tls.{setting} '/no/such.pem' cannot be read (No such file or directory): change tls beside {FREE.setting}"
    )


def test_a_key_that_does_not_fit_is_found_at_the_start(files):
    """gRPC itself would find out with the first sender, and say nothing here."""
    server = Server(FREE, 1000, ServerTls(files.cert, files.client_key))
    receiver = GrpcReceiver(server, None, None, None)
    with pytest.raises(CannotServe, match="cannot be used with"):
        receiver.start()


CORS = Cors((PAGE, "https://*.bots.example"), ("x-team",), 600)


@pytest.fixture(scope="module")
def paged():
    with receiving(cors=CORS, tokens=("s3cret",)) as served:
        yield served


def preflight(served, origin=PAGE, headers="content-type", method="POST"):
    asked = {"access-control-request-method": method, "access-control-request-headers": headers}
    answer = post(served, None, method="OPTIONS", origin=origin, **asked)
    return answer.status, {name: value for name, value in answer.getheaders() if name.startswith("access-control")}


def test_a_page_that_may_send_is_told_so_before_it_does(paged):
    """A browser asks without the token."""
    status, told = preflight(paged, headers="Content-Type, X-Team")
    assert status == 204
    assert told == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type, x-team",
        "access-control-max-age": "600",
    }


@pytest.mark.parametrize("asked", [
    {"origin": "https://evil.example"}, {"origin": "https://shop.example.com.evil.example"}, {"origin": "null"},
    {"headers": "x-other"}, {"method": "DELETE"}, {"origin": f"https://{'a' * 1000}.bots.example"},
])  # fmt: skip
def test_what_a_page_may_not_do_it_is_not_told_to(paged, asked):
    assert preflight(paged, **asked) == (204, {})


@pytest.mark.parametrize("token", ["s3cret", "wrong"])
def test_a_page_may_read_the_answer_good_or_bad(paged, token):
    answer = post(paged, b"{}", content_type=JSON, origin="https://a.bots.example", authorization=f"Bearer {token}")
    assert answer.status == (200 if token == "s3cret" else 401)
    assert answer.headers["access-control-allow-origin"] == "https://a.bots.example"
    assert answer.headers["vary"] == "Origin"


def test_a_page_that_may_not_send_cannot_read_the_answer(paged):
    answer = post(paged, b"", origin="https://evil.example", authorization="Bearer s3cret")
    assert "access-control-allow-origin" not in answer.headers


def test_an_unpacked_and_refused_body_is_still_readable_for_a_page(paged):
    answer = post(paged, b"\0" * 400_000, origin=PAGE, authorization="Bearer s3cret")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (413, PAGE)


def test_without_the_setting_no_page_is_told_anything(guarded):
    assert preflight(guarded) == (204, {})


@pytest.mark.parametrize(("allowed", "origin", "told"), [
    ("*", "https://any.example", "*"),
    ("https://*", "https://any.example", "https://any.example"),
    ("https://*", "http://any.example", None),
    ("https://a.example", "https://A.example", "https://A.example"),
    ("https://a.example", "https://axexample", None),
])  # fmt: skip
def test_an_asterisk_stands_for_any_characters_and_nothing_else_does(allowed, origin, told):
    found = dict(CorsPolicy(Cors((allowed,))).answer(origin))
    assert found.get("access-control-allow-origin") == told
