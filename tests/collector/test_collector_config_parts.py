"""otel-config.yaml: what each receiver, exporter and extension may be told, and what it then is."""

import pytest
import yaml

from paramedic_collector.config.load import ConfigError, parse
from paramedic_collector.config.model import ClientTls, Cors, FileExporter, OtlpExporter, Retry, ServerTls
from paramedic_collector.otlp import Signal

RETRY = {"enabled": True, "initial_interval": "1s", "max_interval": "2s", "max_elapsed_time": "0s", "multiplier": 2}


def document(receiver=None, exporter=None, extensions=None, kind="otlp/backend"):
    """A configuration with one receiver, one exporter and some extensions."""
    return {
        "receivers": {"otlp": {"protocols": receiver or {"grpc": None}}},
        "exporters": {kind: {"endpoint": "tempo:4317"} if exporter is None else exporter},
        "extensions": extensions or {},
        "service": {
            "extensions": list(extensions or {}),
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": [kind]}},
        },
    }


def read(env=None, **parts):
    return parse(yaml.safe_dump(document(**parts)), env or {})


def exporter(settings, kind="otlp/backend", env=None, **parts):
    (found,) = read(env, exporter=settings, kind=kind, **parts).pipelines[0].exporters
    return found


def mistakes(**parts):
    with pytest.raises(ConfigError) as caught:
        read(**parts)
    return caught.value.mistakes


def test_a_receiver_without_settings_listens_where_the_collector_would():
    (receiver,) = read(receiver={"grpc": None, "http": {}}).receivers
    assert (str(receiver.grpc.endpoint), receiver.grpc.limit_bytes) == ("localhost:4317", 4 << 20)
    assert (str(receiver.http.endpoint), receiver.http.limit_bytes) == ("localhost:4318", 20 << 20)
    assert (receiver.grpc.tls, receiver.http.cors, receiver.http.tokens) == (None, None, ())


def test_a_receiver_can_ask_for_tls_and_tokens_and_let_web_pages_in():
    secure = {
        "tls": {"cert_file": "c.pem", "key_file": "k.pem", "client_ca_file": "ca.pem"},
        "auth": {"authenticator": "bearertokenauth"},
    }
    cors = {"allowed_origins": ["https://*.example.com"], "allowed_headers": ["x-bot"], "max_age": 7200}
    config = read(
        receiver={"grpc": secure, "http": {**secure, "cors": cors}},
        extensions={"bearertokenauth": {"tokens": ["a", "b"]}},
    )
    (receiver,) = config.receivers
    assert receiver.grpc.tls == receiver.http.tls == ServerTls("c.pem", "k.pem", "ca.pem")
    assert receiver.grpc.tokens == receiver.http.tokens == ("a", "b")
    assert receiver.http.cors == Cors(("https://*.example.com",), ("x-bot",), 7200)


def test_no_token_is_ever_printed():
    config = read(
        receiver={"grpc": {"auth": {"authenticator": "bearertokenauth"}}},
        extensions={"bearertokenauth": {"token": "hush"}},
        exporter={"endpoint": "tempo:4317", "headers": {"api-key": "hush"}},
    )
    assert config.receivers[0].grpc.tokens == ("hush",)
    assert "hush" not in repr(config)


def test_tokens_can_lie_in_a_file_one_a_line(tmp_path):
    (tmp_path / "tokens").write_text("one\n\ntwo\n")
    bearer = {"filename": str(tmp_path / "tokens")}
    config = read(
        receiver={"grpc": {"auth": {"authenticator": "bearertokenauth/x"}}}, extensions={"bearertokenauth/x": bearer}
    )
    assert config.receivers[0].grpc.tokens == ("one", "two")


@pytest.mark.parametrize(
    ("grpc", "extensions", "mistake"),
    [
        ({"tls": {"cert_file": "c"}}, {}, "tls: TLS configuration must include both certificate and key for server"),
        (
            {"tls": {"cert_file": "c", "key_file": "k", "min_version": "1.3"}},
            {},
            'does not have the setting "min_version"',
        ),
        ({"auth": {"authenticator": "x"}}, {}, 'failed to resolve authenticator "x": authenticator not found'),
        ({"auth": {"authenticator": "bearertokenauth"}}, {"bearertokenauth": {}}, "no bearer token provided"),
        (
            {},
            {"bearertokenauth": {"token": "a", "tokens": ["b"]}},
            "either tokens or token should be provided, not both",
        ),
        ({}, {"bearertokenauth": {"filename": "/no/such"}}, "cannot read the tokens in /no/such"),
        ({"transport": "unix"}, {}, "transport: must be tcp, tcp4, tcp6, got 'unix'"),
        ({}, {"health_check": {"path": "x"}}, "extensions::health_check::path: must begin with /, got 'x'"),
        ({"endpoint": 4317}, {}, "endpoint: must be a text, got 4317: put it in quotes"),
        ({}, {"oauth2client": {}}, 'extensions: unknown type: "oauth2client" for id: "oauth2client"'),
    ],
)
def test_each_mistake_of_a_receiver_or_an_extension_is_named(grpc, extensions, mistake):
    found = mistakes(receiver={"grpc": grpc}, extensions=extensions)
    assert any(mistake in line for line in found), found


def test_an_extension_that_the_service_does_not_turn_on_does_nothing():
    given = document(receiver={"grpc": {"auth": {"authenticator": "bearertokenauth"}}})
    given["extensions"] = {"bearertokenauth": {"token": "a"}, "health_check": {}}
    with pytest.raises(ConfigError, match="authenticator not found"):
        parse(yaml.safe_dump(given), {})
    given["receivers"]["otlp"]["protocols"] = {"grpc": {}}
    assert parse(yaml.safe_dump(given), {}).health is None


def test_the_health_check_answers_where_the_collector_would():
    config = read(extensions={"health_check": None})
    assert (str(config.health), config.health_path) == ("localhost:13133", "/")
    config = read(extensions={"health_check": {"endpoint": "0.0.0.0:1", "path": "/alive"}})
    assert (str(config.health), config.health_path) == ("0.0.0.0:1", "/alive")


@pytest.mark.parametrize("kind", ["otlp", "otlp_grpc", "otlp/backend", "otlp_grpc/backend"])
def test_the_grpc_exporter_has_two_names_and_the_collectors_defaults(kind):
    assert exporter({"endpoint": "https://tempo:4317"}, kind) == OtlpExporter(kind, "grpc", "tempo:4317", timeout_s=5.0)


@pytest.mark.parametrize("kind", ["otlphttp", "otlp_http", "otlphttp/paramedic"])
def test_the_http_exporter_has_two_names_and_the_collectors_defaults(kind):
    assert exporter({"endpoint": "http://tempo:4318/"}, kind) == OtlpExporter(
        kind, "http", "http://tempo:4318", timeout_s=30.0
    )


def test_an_exporter_is_all_that_it_was_told():
    found = exporter(
        {
            "endpoint": "tempo:4317",
            "tls": {"ca_file": "ca", "cert_file": "c", "key_file": "k"},
            "headers": {"X-Scope": "${env:SCOPE}"},
            "compression": "none",
            "timeout": "1m",
            "retry_on_failure": RETRY,
            "sending_queue": {"sizer": "bytes", "queue_size": 1000, "num_consumers": 4},
            "keepalive": {"time": "10s"},
        },
        env={"SCOPE": "0123"},
    )
    assert found.tls == ClientTls(ca_file="ca", cert_file="c", key_file="k")
    assert found.headers == (("X-Scope", "0123"),)  # not the number 83
    assert (found.compression, found.timeout_s, found.queue_bytes) == ("none", 60.0, 1000)
    assert found.retry == Retry(initial_s=1.0, multiplier=2.0, most_s=2.0, give_up_s=0.0)


def test_http_signals_may_have_urls_of_their_own():
    found = exporter(
        {"traces_endpoint": "http://t/x", "compression": "zstd", "headers": [{"name": "a", "value": "b"}]}, "otlphttp"
    )
    assert (found.target, found.urls, found.headers) == ("", {Signal.TRACES: "http://t/x"}, (("a", "b"),))


def test_http_may_skip_the_check_of_the_servers_certificate_and_so_may_the_other_engine():
    tls = {"insecure_skip_verify": True}
    assert exporter({"endpoint": "https://tempo:4318", "tls": tls}, "otlp_http").tls == ClientTls(skip_verify=True)
    read(exporter={"endpoint": "localhost:4327", "tls": tls}, kind="otlp/paramedic")


def test_a_signal_without_a_url_is_a_mistake_of_the_pipeline_that_sends_it():
    assert mistakes(exporter={"logs_endpoint": "http://l/x"}, kind="otlphttp") == [
        "service::pipelines::traces: exporters::otlphttp: either endpoint or traces_endpoint must be specified"
    ]


def test_insecure_is_plain_text_unless_the_address_says_https_or_there_is_a_ca():
    def plain(endpoint, **tls):
        return exporter({"endpoint": endpoint, "tls": {"insecure": True, **tls}}).tls.insecure

    assert plain("tempo:4317")
    assert not plain("https://tempo:4317")
    assert not plain("tempo:4317", ca_file="ca")


def test_an_exporter_shows_the_token_of_its_authenticator():
    bearer = {"token": "t", "scheme": "Token", "header": "x-auth"}
    settings = {"endpoint": "tempo:4317", "auth": {"authenticator": "bearertokenauth"}}
    found = exporter(settings, extensions={"bearertokenauth": bearer})
    assert found.headers == (("x-auth", "Token t"),)


def test_a_queue_that_is_counted_in_requests_gets_the_default_room():
    assert exporter({"endpoint": "a:1", "sending_queue": {"queue_size": 5}}).queue_bytes == 256 << 20


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({}, 'requires a non-empty "endpoint"'),
        ({"endpoint": "tempo"}, "endpoint: must be host:port, got 'tempo'"),
        ({"endpoint": "t:1", "compression": "lzma"}, 'unsupported compression type "lzma"'),
        ({"endpoint": "t:1", "compression": "snappy"}, "has gzip, none, not snappy: run this file with"),
        ({"endpoint": "t:1", "tls": {"cert_file": "c"}}, "TLS configuration must include both certificate and key"),
        (
            {"endpoint": "t:1", "tls": {"insecure_skip_verify": True}},
            "::tls::insecure_skip_verify: gRPC verifies whom it speaks to: name the backend's certificate as ca_file",
        ),
        ({"endpoint": "t:1", "timeout": 5}, "timeout: must be a duration like 200ms or 1s, got 5"),
        ({"endpoint": "t:1", "timeout": "-5s"}, "'timeout' must be non-negative"),
        ({"endpoint": "t:1", "headers": {"a b": "c"}}, "'a b' is no header that can be sent"),
        ({"endpoint": "t:1", "headers": {"a": 5}}, "headers::a: must be a text, got 5: put it in quotes"),
        (
            {"endpoint": "t:1", "retry_on_failure": {"max_elapsed_time": "1s"}},
            "'max_elapsed_time' must not be less than 'initial",
        ),
        (
            {"endpoint": "t:1", "retry_on_failure": {"max_interval": "600s"}},
            "'max_elapsed_time' must not be less than 'max_int",
        ),
        (
            {"endpoint": "t:1", "retry_on_failure": {"randomization_factor": 2}},
            "'randomization_factor' must be within [0, 1]",
        ),
        ({"endpoint": "t:1", "sending_queue": {"num_consumers": 0}}, "`num_consumers` must be positive"),
        ({"endpoint": "t:1", "sending_queue": {"queue_size": 0}}, "`queue_size` must be positive"),
        ({"endpoint": "t:1", "sending_queue": {"storage": "file_storage"}}, 'does not have the setting "storage"'),
        ({"endpoint": "t:1", "endpiont": "t:2"}, 'unknown key "endpiont" (valid values: [endpoint tls headers'),
    ],
)
def test_each_mistake_of_an_exporter_is_named(settings, mistake):
    found = mistakes(exporter=settings)
    assert any(line.startswith("exporters::otlp/backend") and mistake in line for line in found), found


def test_what_the_http_exporter_cannot_be_told_is_named():
    found = mistakes(exporter={"encoding": "json", "proxy_url": "http://p"}, kind="otlphttp")
    assert len(found) == 3
    assert any("at least one endpoint must be specified" in line for line in found)
    assert mistakes(exporter={"endpoint": "tempo:4318"}, kind="otlphttp") == [
        "exporters::otlphttp::endpoint: must be an http:// or https:// URL, got 'tempo:4318'"
    ]


def test_the_hand_off_is_checked_as_the_other_engine_would_but_needs_no_address():
    assert read(exporter={}, kind="otlp/paramedic").windows == {Signal.TRACES}
    assert mistakes(exporter={"timeout": "x"}, kind="otlp/paramedic")


def test_the_file_exporter():
    assert exporter({"path": "a.json"}, "file") == FileExporter("file", "a.json")
    rotating = {
        "path": "a",
        "format": "proto",
        "compression": "zstd",
        "rotation": {"max_megabytes": 2, "max_backups": 3},
    }
    assert exporter(rotating, "file/x") == FileExporter("file/x", "a", "proto", "zstd", 2 << 20, 3)
    assert exporter({"path": "a", "rotation": {}}, "file").rotate_bytes == 100 << 20


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({}, "path must be non-empty"),
        ({"path": "a", "format": "xml"}, "format type is not supported"),
        ({"path": "a", "compression": "gzip"}, "compression is not supported"),
        (
            {"path": "a", "append": True, "rotation": {}},
            "append and rotation enabled at the same time is not supported",
        ),
        ({"path": "a", "group_by": {"enabled": True}}, 'does not have the setting "group_by"'),
    ],
)
def test_each_mistake_of_a_file_exporter_is_named(settings, mistake):
    found = mistakes(exporter=settings, kind="file")
    assert any(mistake in line for line in found), found
