"""Forwarding to backends that show, and want to see, certificates."""

import ssl
import time

import grpc
import pytest
from certificates_kit import make_certificates
from forward_kit import GrpcBackend, HttpBackend, until
from forward_node import PLAIN, QUICK, towards

from paramedic_collector.config.model import ClientTls, OtlpExporter, Pipeline
from paramedic_collector.counters import Counters
from paramedic_collector.forward.forwarder import Forwarder
from paramedic_collector.forward.tls import TlsError
from paramedic_collector.otlp import Signal
from paramedic_collector.record.recorder import Recorder


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["http", "grpc"])
def guarded(request, certificates):
    """A backend with TLS that asks for a client certificate."""
    made = certificates
    if request.param == "http":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.cert, made.key)
        context.load_verify_locations(made.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        one = HttpBackend(context)
    else:
        files = [open(name, "rb").read() for name in (made.key, made.cert, made.ca)]  # noqa: SIM115
        one = GrpcBackend(grpc.ssl_server_credentials([(files[0], files[1])], files[2], True))
    one.start()
    yield one
    one.stop()


def test_a_backend_with_tls_takes_what_comes_with_the_right_certificates(node, guarded, certificates):
    made = certificates
    node(towards(guarded, tls=ClientTls(ca_file=made.ca, cert_file=made.client_cert, key_file=made.client_key))).record(
        "a"
    )
    until(lambda: guarded.spans == ["a"], "it arrives")


@pytest.mark.parametrize("what", ["no client certificate", "unknown authority", "plain text"])
def test_without_them_it_waits_and_sends_nothing(node, guarded, certificates, what):
    made = certificates
    settings = {
        "no client certificate": ClientTls(ca_file=made.ca),
        "unknown authority": ClientTls(cert_file=made.client_cert, key_file=made.client_key),
        "plain text": PLAIN,
    }[what]
    exporter = towards(guarded, tls=settings)
    if what == "plain text" and isinstance(guarded, HttpBackend):
        exporter = OtlpExporter("x", "http", guarded.url.replace("https", "http"), tls=settings, retry=QUICK)
    one = node(exporter)
    one.record("a")
    until(lambda: one.counters.total("paramedic_exporter_retries") >= 2, "it is tried again")
    assert guarded.requests == []


def test_http_may_skip_the_check_of_the_servers_certificate(node, certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)
    backend = HttpBackend(context)
    backend.start()
    node(towards(backend, tls=ClientTls(skip_verify=True))).record("a")
    until(lambda: backend.spans == ["a"], "it arrives")
    backend.stop()


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_certificate_that_is_not_there_is_told_at_the_start(tmp_path, transport):
    missing = ClientTls(ca_file=str(tmp_path / "missing.pem"))
    exporter = OtlpExporter("otlp/x", transport, "https://localhost:1", tls=missing)
    recorder = Recorder(tmp_path / "recorder", clock=time.time)
    with pytest.raises(TlsError, match=r"exporter otlp/x: tls: cannot use .*missing\.pem: No such file"):
        Forwarder([Pipeline("traces", Signal.TRACES, exporters=(exporter,))], recorder, Counters())
    recorder.close()
