"""Settings: where each comes from, and what is said when one is wrong."""

from pathlib import Path

import pytest

from paramedic_detector.settings import Address, SettingsError, load


def test_flags_beat_environment_beats_file_beats_default(tmp_path):
    file = tmp_path / "paramedic.yaml"
    file.write_text("api: file:1\ndashboard: file:2\npublic_url: http://file\n")
    env = {"PARAMEDIC_API": "env:3", "PARAMEDIC_DASHBOARD": "env:4", "PARAMEDIC_DATA_DIR": str(tmp_path)}
    settings = load({"api": "flag:5", "dashboard": None}, env, file)
    assert settings.api == Address("flag", 5)
    assert settings.dashboard == Address("env", 4)
    assert settings.public_url == "http://file"
    assert settings.otlp_grpc == Address("localhost", 4317)
    assert settings.store_url == f"sqlite:///{tmp_path / 'paramedic.db'}"


def test_all_mistakes_are_told_at_once_and_each_in_one_line(tmp_path):
    file = tmp_path / "paramedic.yaml"
    file.write_text("publik_url: http://x\nstore: mysql://root@h/x\n")
    env = {"PARAMEDIC_SLACK_WEBHOOK_URL": "hooks.slack.com/services/verysecret", "PARAMEDIC_PUBLIC_URI": "x"}
    with pytest.raises(SettingsError) as error:
        load({"api": "8600", "colour": "red", "policy": str(tmp_path / "none.yaml")}, env, file)
    told = "\n".join(sorted(error.value.mistakes))
    assert len(error.value.mistakes) == 7
    assert "did you mean public_url?" in told
    assert "store must be a sqlite:/// or postgresql:// URL, got mysql" in told
    assert "did you mean PARAMEDIC_PUBLIC_URL?" in told
    assert "--api must be HOST:PORT with a port from 0 to 65535, got '8600'" in told
    assert "--colour is not a setting; known are:" in told
    assert "--policy names a file that does not exist" in told
    assert "PARAMEDIC_SLACK_WEBHOOK_URL must be a web address" in told
    assert "verysecret" not in told


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_one_sentence(tmp_path, text):
    file = tmp_path / "paramedic.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load({}, {}, file)
    assert len(error.value.mistakes) == 1
    assert str(file) in str(error.value)


def test_a_file_that_was_named_must_be_there():
    with pytest.raises(SettingsError, match=r"'/none/p\.yaml' does not exist"):
        load({}, {"PARAMEDIC_CONFIG": "/none/p.yaml"})


def test_variables_of_the_bots_side_are_no_mistakes():
    env = {"PARAMEDIC_URL": "http://x", "PARAMEDIC_TOKEN": "t", "PARAMEDIC_OTLP": "localhost:4327"}
    assert load({}, env).data_dir == Path.home() / ".local" / "state" / "paramedic"


def test_settings_do_not_show_their_secrets():
    settings = load({"slack_webhook_url": "https://hooks.slack.com/services/verysecret"}, {})
    assert "verysecret" not in repr(settings)
