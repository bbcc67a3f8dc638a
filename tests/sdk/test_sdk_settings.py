"""What `init` is told, and what it makes of nonsense."""

import pytest

from paramedic.contract.credentials import write_credentials
from paramedic.contract.keys import bot_token, new_master
from paramedic.settings import read_settings


@pytest.fixture
def read(tmp_path):
    def read(service="support-bot", version=None, zone=None, **env):
        return read_settings(service, version, zone, {"PARAMEDIC_DATA_DIR": str(tmp_path), **env})

    return read


def test_arguments_beat_the_environment_and_the_environment_fills_the_rest(read):
    told = {"OTEL_RESOURCE_ATTRIBUTES": "cloud.availability_zone=eu-1b,service.version=2,service.name=other"}
    settings = read(zone="eu-1a", **told)
    assert (settings.service, settings.version, settings.zone) == ("support-bot", "2", "eu-1a")
    assert read(service=None, **told).service == "other"
    assert read(service=None, OTEL_SERVICE_NAME="first", **told).service == "first"
    assert read(service=None, PARAMEDIC_SERVICE="own").service == "own"


def test_without_a_name_it_says_so(read, caplog):
    assert read(service=None).service == "unknown_service"
    assert "set service= or OTEL_SERVICE_NAME" in caplog.text


def test_alone_it_sends_nothing(read):
    settings = read()
    assert (settings.platform, settings.endpoint, settings.spans_to, settings.metrics_to) == (
        None,
        None,
        "none",
        "none",
    )


def test_an_endpoint_of_opentelemetry_is_left_to_opentelemetry(read):
    settings = read(OTEL_EXPORTER_OTLP_ENDPOINT="https://collector:4318")
    assert (settings.endpoint, settings.address, settings.spans_to) == (None, "https://collector:4318", "otlp")
    assert read(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="http://a:1/v1/traces").spans_to == "otlp"


@pytest.mark.parametrize("signal", ["TRACES", "METRICS", "LOGS"])
def test_an_endpoint_of_one_signal_is_for_that_signal(read, signal):
    settings = read(**{f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": "http://a:1/v1/x"})
    to = {"TRACES": settings.spans_to, "METRICS": settings.metrics_to, "LOGS": settings.events_to}
    assert to == {**dict.fromkeys(to, "none"), signal: "otlp"}
    assert settings.address == "http://a:1/v1/x"


def test_the_resource_says_how_critical_the_service_is(read, caplog):
    assert read(OTEL_RESOURCE_ATTRIBUTES="service.criticality=low").criticality == "low"
    assert read().criticality == ""
    assert caplog.text == ""
    assert read(OTEL_RESOURCE_ATTRIBUTES="service.criticality=urgent").criticality == ""
    assert "must be one of critical, high, medium, low, got 'urgent'; it is ignored" in caplog.text


def test_events_can_be_switched_off_alone(read):
    settings = read(OTEL_EXPORTER_OTLP_ENDPOINT="http://a:1", OTEL_LOGS_EXPORTER="none")
    assert (settings.spans_to, settings.metrics_to, settings.events_to) == ("otlp", "otlp", "none")


def test_private_by_default(read):
    settings = read()
    assert (settings.redacts, settings.exception_messages, settings.opt_in) == (True, False, "")
    told = read(PARAMEDIC_REDACT="off", PARAMEDIC_EXCEPTION_MESSAGES="1", OTEL_SEMCONV_STABILITY_OPT_IN="http")
    assert (told.redacts, told.exception_messages, told.opt_in) == (False, True, "http")


def test_the_platform_of_the_credentials_is_also_where_telemetry_goes(read, tmp_path):
    write_credentials(tmp_path / "credentials", url="http://sre.example:8600", master=new_master())
    assert read().endpoint == "http://sre.example:4318"
    assert read(OTEL_EXPORTER_OTLP_PROTOCOL="grpc").endpoint == "http://sre.example:4317"
    assert read(PARAMEDIC_OTLP_HTTP="localhost:14318").endpoint == "http://localhost:14318"
    assert read(OTEL_EXPORTER_OTLP_ENDPOINT="http://other:4318").endpoint is None


def test_the_environment_names_the_platform(read):
    token = bot_token(new_master(), "support-bot")
    settings = read(PARAMEDIC_URL="http://localhost:8600/", PARAMEDIC_TOKEN=token)
    assert settings.platform is not None
    assert settings.platform.url == "http://localhost:8600"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"PARAMEDIC_URL": "http://localhost:1", "PARAMEDIC_TOKEN": "pmb.other.00"}, "is for service 'other'"),
        ({"PARAMEDIC_URL": "localhost:1", "PARAMEDIC_TOKEN": "pmb.support-bot.00"}, "must begin with http://"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "soon"}, "OTEL_METRIC_EXPORT_INTERVAL must be a number above 0, got 'soon'"),
        ({"OTEL_BSP_SCHEDULE_DELAY": "-5"}, "OTEL_BSP_SCHEDULE_DELAY must be a number above 0, got '-5'"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, "must be http/protobuf or grpc, got 'http/json'"),
        ({"OTEL_BLRP_SCHEDULE_DELAY": "0"}, "OTEL_BLRP_SCHEDULE_DELAY must be a number above 0, got '0'"),
        ({"PARAMEDIC_REDACT": "perhaps"}, "PARAMEDIC_REDACT must be on or off, got 'perhaps'; on is used"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER must be otlp, console or none, got 'zipkin'"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(read, caplog, env, said):
    read(**env)
    assert len(caplog.messages) == 1
    assert said in caplog.messages[0]


def test_a_credentials_file_that_cannot_be_read_is_one_line(read, tmp_path, caplog):
    (tmp_path / "credentials").write_text("{")
    assert read().platform is None
    assert "delete it and start `paramedic up` again" in caplog.text
