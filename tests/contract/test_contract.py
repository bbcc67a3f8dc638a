"""The wire between a bot and its platform: what is genuine is read back whole, what is not is refused with a reason."""

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paramedic.contract import credentials, keys
from paramedic.contract.command import (
    LONGEST_LEASE_S,
    SKEW_S,
    ActionKind,
    Command,
    CommandError,
    Lease,
    SignedCommand,
    Target,
)

MASTER = "ab" * 32
KEY = keys.command_key(keys.service_secret(MASTER, "support-bot"))
NAMES = st.text(max_size=12)


def a_command(**changes):
    fields = {
        "id": "CMD-7",
        "version": 3,
        "service": "support-bot",
        "kind": ActionKind.FAILOVER,
        "target": Target(peer="aurora"),
        "lease": Lease("LEASE-7", ttl_s=30.0, probe_share=0.1),
        "issued_at": 1000.0,
        "parameters": {"limit": 4},
        "reason": "aurora fails",
    }
    return Command(**{**fields, **changes})


def opened(signed, *, key=KEY, service="support-bot", now=1000.0):
    return SignedCommand.from_json(signed.to_json()).open(key, service=service, now=now)


@given(
    kind=st.sampled_from(ActionKind),
    target=st.builds(Target, NAMES, NAMES, NAMES),
    ttl_s=st.floats(0.001, LONGEST_LEASE_S),
    probe_share=st.floats(0, 1),
    parameters=st.dictionaries(
        NAMES, st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), NAMES)
    ),
    reason=st.text(max_size=40),
)
def test_a_command_survives_the_wire_unchanged(kind, target, ttl_s, probe_share, parameters, reason):
    command = a_command(
        kind=kind, target=target, lease=Lease("L", ttl_s, probe_share), parameters=parameters, reason=reason
    )
    assert opened(SignedCommand.seal(command, KEY)) == command


@given(place=st.integers(0, 10_000), other=st.characters())
def test_any_changed_character_of_the_text_makes_it_forged(place, other):
    signed = SignedCommand.seal(a_command(), KEY)
    place %= len(signed.text)
    forged = signed.text[:place] + other + signed.text[place + 1 :]
    if forged == signed.text:
        return
    with pytest.raises(CommandError, match="signature is wrong"):
        opened(SignedCommand(forged, signed.signature))


def test_another_services_key_cannot_sign():
    theirs = keys.command_key(keys.service_secret(MASTER, "front-door"))
    with pytest.raises(CommandError, match="signature is wrong"):
        opened(SignedCommand.seal(a_command(), theirs))


def test_a_command_for_another_service_names_both():
    with pytest.raises(CommandError, match="is for 'support-bot', this is 'front-door'"):
        opened(SignedCommand.seal(a_command(), KEY), service="front-door")


@pytest.mark.parametrize("now", [1000.0 + 30 + SKEW_S + 1, 1000.0 - SKEW_S - 1])
def test_a_command_outside_its_lease_and_the_clocks_skew_is_refused(now):
    with pytest.raises(CommandError, match="expired, or the clocks"):
        opened(SignedCommand.seal(a_command(), KEY), now=now)


@pytest.mark.parametrize("now", [1000.0 - SKEW_S, 1000.0 + 30 + SKEW_S])
def test_clocks_may_differ_by_the_skew(now):
    assert opened(SignedCommand.seal(a_command(), KEY), now=now) == a_command()


@pytest.mark.parametrize(
    ("lease", "names"),
    [
        (Lease("L", 0), "ttl_s must be above 0"),
        (Lease("L", float("nan")), "ttl_s must be above 0"),
        (Lease("L", LONGEST_LEASE_S + 1), "at most 3600 seconds, got 3601"),
        (Lease("L", 30, -0.1), "probe_share must be between 0 and 1, got -0.1"),
        (Lease("L", 30, 1.5), "probe_share must be between 0 and 1, got 1.5"),
    ],
)
def test_a_lease_out_of_range_is_refused_with_its_value(lease, names):
    with pytest.raises(CommandError, match=names):
        opened(SignedCommand.seal(a_command(lease=lease), KEY))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"command": "x"}', "{", '"a"'])
def test_what_is_not_a_signed_command_is_said_to_be_none(text):
    with pytest.raises(CommandError, match="not a signed command"):
        SignedCommand.from_json(text)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"kind": "explode"}', json.dumps({"kind": "clear"})])
def test_a_signed_text_that_is_no_command_is_refused(text):
    with pytest.raises(CommandError, match="not a command"):
        opened(SignedCommand(text, keys.sign(KEY, text)))


@pytest.mark.parametrize(
    ("target", "peer", "zone", "guard", "meant"),
    [
        (Target(peer="aurora"), "aurora", "", "llm.primary", True),
        (Target(peer="aurora"), "borealis", "", "llm.light", False),
        (Target(peer="support-bot", zone="eu-1b"), "support-bot", "eu-1b", "bot", True),
        (Target(peer="support-bot", zone="eu-1b"), "support-bot", "eu-1a", "bot", False),
        (Target(guard="orders"), "orders", "", "orders", True),
        (Target(), "aurora", "", "llm.primary", False),
    ],
)
def test_a_target_means_the_guards_whose_every_named_field_agrees(target, peer, zone, guard, meant):
    assert target.matches(peer=peer, zone=zone, guard=guard) is meant


def test_a_bearer_token_does_not_reveal_the_command_key():
    secret = keys.service_secret(MASTER, "support-bot")
    assert keys.bearer(secret).encode() != keys.command_key(secret)
    assert secret not in {keys.bearer(secret), keys.command_key(secret).decode()}


@pytest.mark.parametrize("service", ["support-bot", "team.bot.eu"])
def test_a_bot_token_gives_back_its_services_secret(service):
    assert keys.secret_of(keys.bot_token(MASTER, service), service) == keys.service_secret(MASTER, service)


def test_a_token_of_another_service_names_both():
    with pytest.raises(ValueError, match="is for service 'front-door', this bot is 'support-bot'"):
        keys.secret_of(keys.bot_token(MASTER, "front-door"), "support-bot")


def test_a_platform_is_found_in_the_environment_before_the_file(tmp_path):
    credentials.write_credentials(tmp_path / "credentials", url="http://file", master=MASTER)
    token = keys.bot_token(MASTER, "support-bot")
    env = {"PARAMEDIC_DATA_DIR": str(tmp_path), "PARAMEDIC_URL": "http://env/", "PARAMEDIC_TOKEN": token}
    assert credentials.find_platform("support-bot", env) == credentials.Platform(
        "http://env", keys.service_secret(MASTER, "support-bot")
    )


def test_without_an_environment_the_credentials_file_is_read(tmp_path):
    credentials.write_credentials(tmp_path / "credentials", url="http://file", master=MASTER)
    found = credentials.find_platform("front-door", {"PARAMEDIC_DATA_DIR": str(tmp_path)})
    assert found == credentials.Platform("http://file", keys.service_secret(MASTER, "front-door"))


def test_the_credentials_file_is_for_this_user_alone(tmp_path):
    path = tmp_path / "deeper" / "credentials"
    credentials.write_credentials(path, url="http://file", master=MASTER)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_platform_is_not_an_error(tmp_path):
    assert credentials.find_platform("support-bot", {"PARAMEDIC_DATA_DIR": str(tmp_path)}) is None


def test_a_broken_credentials_file_says_what_to_do(tmp_path):
    (tmp_path / "credentials").write_text("{")
    with pytest.raises(ValueError, match="delete it and start `paramedic up` again"):
        credentials.find_platform("support-bot", {"PARAMEDIC_DATA_DIR": str(tmp_path)})
