"""The command line that starts the dashboard."""

import pytest

from paramedic_dashboard.launch import command


def test_the_token_is_in_the_environment_and_not_on_the_command_line() -> None:
    argv, env = command("http://127.0.0.1:8600", "pmo.secret", "127.0.0.1", 8501, env={"HOME": "/home/x"})
    assert "pmo.secret" not in " ".join(argv)
    assert env == {
        "HOME": "/home/x", "PARAMEDIC_API_URL": "http://127.0.0.1:8600", "PARAMEDIC_OPERATOR_TOKEN": "pmo.secret"
    }  # fmt: skip


def test_it_listens_where_it_is_told_and_tells_nobody_else() -> None:
    argv, _ = command("http://127.0.0.1:8600", "t", "127.0.0.1", 9123, env={})
    for part in ("--server.address=127.0.0.1", "--server.port=9123", "--browser.gatherUsageStats=false"):
        assert part in argv


def test_only_known_host_names_may_open_the_live_connection() -> None:
    def hosts(host: str, public: str = "") -> list[str]:
        argv, _ = command("http://h", "t", host, 1, public_url=public, env={})
        return [part.partition("=")[2] for part in argv if part.startswith("--server.allowedHosts")]

    assert hosts("127.0.0.1") == ["localhost", "127.0.0.1", "::1"]
    assert "oncall.example.com" in hosts("127.0.0.1", "https://oncall.example.com/")
    assert hosts("0.0.0.0", "https://oncall.example.com") == ["localhost", "127.0.0.1", "::1", "oncall.example.com"]
    assert hosts("0.0.0.0") == ["*"]


@pytest.mark.parametrize(
    ("url", "token", "port", "told"),
    [("127.0.0.1:8600", "t", 8501, "PARAMEDIC_API_URL must be an http"), ("http://h", "", 8501, "TOKEN is empty"),
     ("http://h", "t", 70000, "between 1 and 65535, got 70000")],
)  # fmt: skip
def test_a_value_that_cannot_work_is_named(url: str, token: str, port: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        command(url, token, "127.0.0.1", port)
