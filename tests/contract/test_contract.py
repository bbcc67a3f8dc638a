"""The wire between a bot and its platform: what is genuine is read back whole, what is not is refused with a reason."""

import json
import stat
from dataclasses import replace

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


def unsealed(command):
    return replace(command, key_id="", nonce="", expires_at=0.0)


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
    assert unsealed(opened(SignedCommand.seal(command, KEY))) == command


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


def test_while_the_key_is_changed_either_of_two_opens_a_command():
    new = keys.command_key(keys.service_secret("cd" * 32, "support-bot"))
    for key in (KEY, new):
        command = SignedCommand.seal(a_command(), key).open(new, KEY, service="support-bot", now=1000.0)
        assert command.key_id == keys.key_id(key)


def test_each_sealing_has_a_nonce_of_its_own_and_expires_with_its_lease():
    one, two = (opened(SignedCommand.seal(a_command(), KEY)) for _ in range(2))
    assert one.nonce != two.nonce
    assert (len(one.nonce), len(one.key_id), one.expires_at) == (16, 8, 1030.0)


def test_the_id_of_a_key_is_the_begin_of_its_hash():
    assert keys.key_id(b"abc") == "ba7816bf"


def sealed_with(**changes):
    """A command that its platform signed with fields that `seal` would not write."""
    raw = json.loads(SignedCommand.seal(a_command(), KEY).text)
    text = json.dumps(raw | changes)
    return SignedCommand(text, keys.sign(KEY, text))


@pytest.mark.parametrize("missing", ["key_id", "nonce", "expires_at"])
def test_a_command_of_an_older_platform_is_refused_with_the_cure(missing):
    with pytest.raises(CommandError, match="the platform is older than this SDK, upgrade it"):
        opened(sealed_with(**{missing: type(json.loads(SignedCommand.seal(a_command(), KEY).text)[missing])()}))


def test_a_command_that_names_another_key_than_its_own_is_refused():
    with pytest.raises(CommandError, match="it names key '00000000' and is signed with"):
        opened(sealed_with(key_id="00000000"))


@pytest.mark.parametrize("now", [1020.0 + SKEW_S, 1020.1 + SKEW_S])
def test_what_its_sealing_says_about_its_end_holds_as_well_as_its_lease(now):
    signed = sealed_with(expires_at=1020.0)
    if now <= 1020.0 + SKEW_S:
        assert opened(signed, now=now).expires_at == 1020.0
        return
    with pytest.raises(CommandError, match="it is expired"):
        opened(signed, now=now)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"id": 7}, "id must be a text"),
        ({"id": "x" * 201}, "id must be a text of at most 200 characters"),
        ({"owner": None}, "owner must be a text"),
        ({"reason": "x" * 501}, "reason must be a text of at most 500"),
        ({"version": True}, "version must be a whole number"),
        ({"version": 1.5}, "version must be a whole number"),
        ({"version": -1}, "version must be a whole number"),
        ({"issued_at": "now"}, "issued_at must be unix seconds, got 'now'"),
        ({"issued_at": float("nan")}, "issued_at must be unix seconds, got nan"),
        ({"issued_at": 10**400}, "issued_at must be unix seconds, got a huge number"),
        ({"expires_at": float("inf")}, "expires_at must be unix seconds, got inf"),
        ({"target": {"peer": 3}}, "target.peer must be a text"),
        ({"lease": {"id": "L", "ttl_s": "30"}}, "lease.ttl_s must be above 0"),
        ({"lease": {"id": "L", "ttl_s": True}}, "lease.ttl_s must be above 0"),
        ({"lease": {"id": "L", "ttl_s": 30, "probe_share": "all"}}, "lease.probe_share must be"),
        ({"parameters": [1]}, "parameters must be names"),
        ({"parameters": {"share": [1]}}, "parameters must be names"),
        ({"surprise": 1}, "not a command: .*surprise"),
    ],
)
def test_a_signed_field_of_a_wrong_kind_is_refused_and_named(changes, names):
    with pytest.raises(CommandError, match=names):
        opened(sealed_with(**changes))


@given(text=st.text(), signature=st.text())
def test_whatever_arrives_is_refused_and_never_breaks_the_reader(text, signature):
    with pytest.raises(CommandError):
        SignedCommand.from_json(json.dumps({"command": text, "signature": signature})).open(
            KEY, service="support-bot", now=1000.0
        )
    with pytest.raises(CommandError):
        SignedCommand.from_json(text).open(KEY, service="support-bot", now=1000.0)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"command": ' + "[" * 100_000, "1" * 5000])
def test_json_that_is_deeper_or_longer_than_a_reader_can_take_is_refused(text):
    with pytest.raises(CommandError, match="not a signed command"):
        SignedCommand.from_json(text)
    with pytest.raises(CommandError, match="not a command"):
        opened(SignedCommand(text, keys.sign(KEY, text)))


@pytest.mark.parametrize("signature", ["\u00e9" * 64, "\ud800", ""])
def test_a_signature_that_is_no_hex_is_wrong_and_nothing_worse(signature):
    with pytest.raises(CommandError, match="signature is wrong"):
        SignedCommand('{"x": "\ud800"}', signature).open(KEY, service="support-bot", now=1000.0)


def test_a_command_for_another_service_names_both():
    with pytest.raises(CommandError, match="is for 'support-bot', this is 'front-door'"):
        opened(SignedCommand.seal(a_command(), KEY), service="front-door")


@pytest.mark.parametrize("now", [1000.0 + 30 + SKEW_S + 1, 1000.0 - SKEW_S - 1])
def test_a_command_outside_its_lease_and_the_clocks_skew_is_refused(now):
    with pytest.raises(CommandError, match="expired, or the clocks"):
        opened(SignedCommand.seal(a_command(), KEY), now=now)


@pytest.mark.parametrize("now", [1000.0 - SKEW_S, 1000.0 + 30 + SKEW_S])
def test_clocks_may_differ_by_the_skew(now):
    assert unsealed(opened(SignedCommand.seal(a_command(), KEY), now=now)) == a_command()


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


def test_a_token_may_be_two_while_the_platforms_key_is_changed():
    new, old = (keys.bot_token(master, "support-bot") for master in ("cd" * 32, MASTER))
    env = {"PARAMEDIC_URL": "http://env", "PARAMEDIC_TOKEN": f"{new}, {old}"}
    assert credentials.find_platform("support-bot", env) == credentials.Platform(
        "http://env", keys.service_secret("cd" * 32, "support-bot"), keys.service_secret(MASTER, "support-bot")
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
