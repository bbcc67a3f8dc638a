"""The examples of docs/how-to/send-telemetry.md, run as they stand there."""

import re
import shutil
import subprocess

from clients_kit import ROOT, cannot
from receive_kit import receiving

from paramedic_collector.config.load import load
from paramedic_collector.otlp import Signal
from paramedic_collector.receive.patience import Patience

PAGE = (ROOT / "docs" / "how-to" / "send-telemetry.md").read_text()


def examples(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_span_sent_by_hand_is_taken():
    if not shutil.which("curl"):
        cannot("there is no curl on this machine")
    (command,) = [one for one in examples("bash") if one.startswith("curl")]
    with receiving() as served:
        address = str(served.addresses["http"])
        done = subprocess.run(
            ["bash", "-c", command.replace("localhost:4318", address)], capture_output=True, text=True, timeout=30
        )
        assert done.stdout.startswith("HTTP/1.1 200 OK"), done
        assert done.stdout.endswith("{}")
        ((signal, payload, _),) = served.intake.taken
    assert signal is Signal.TRACES
    assert b"by-hand" in payload
    assert bytes.fromhex("5b8efff798038103d269b633813fc60c") in payload


def test_the_configuration_says_what_the_page_says(tmp_path):
    (text,) = examples("yaml")
    file = tmp_path / "otel-config.yaml"
    file.write_text(text)
    (receiver,) = load(file, {}).receivers
    assert receiver.http.tokens == ("s3cret", "the-next-secret")
    assert receiver.grpc.tls.client_ca_file == "ca.pem"
    assert receiver.http.cors.allowed_origins == ("https://shop.example.com", "https://*.bots.example")
    assert (receiver.http.cors.max_age_s, receiver.http.limit_bytes) == (600, 20 << 20)


def test_the_times_that_the_page_names_are_those_of_the_code():
    patience = Patience()
    assert patience.head_s == patience.body_s == 10.0
    assert f"| {patience.idle_s:g} s |" in PAGE
