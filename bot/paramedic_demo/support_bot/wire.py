"""What travels between the front door and the bot, and the settings that both read from the environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, Field

from paramedic_demo.answers import APOLOGY, NOBODY

LONGEST_MESSAGE = 2000


class PastTurn(BaseModel):
    """One turn of the conversation, as the front door remembers it."""

    message: str = Field(max_length=LONGEST_MESSAGE)
    reply: str
    intent: str


class Ask(BaseModel):
    """One message of a customer. (conversation, turn) names it: sent again, it gets the same reply."""

    conversation: str = Field(min_length=1, max_length=100)
    message: str = Field(min_length=1, max_length=LONGEST_MESSAGE)
    turn: int | None = Field(default=None, ge=1)
    history: list[PastTurn] | None = Field(default=None, max_length=20)  # None: the bot remembers by itself


class Reply(BaseModel):
    """What the customer gets, and how it came about."""

    reply: str
    status: str  # "answered", "checked", "handed_over" or "apology"
    intent: str
    confidence: float
    served_by: str  # the provider whose model wrote it, else "shop", "template", "person" or "nobody"
    zone: str
    turn: int


def apologise(ask: Ask, zone: str) -> Reply:
    """The reply when a turn failed."""
    return Reply(
        reply=APOLOGY, status="apology", intent="", confidence=0.0, served_by=NOBODY, zone=zone, turn=ask.turn or 0
    )


class SettingError(ValueError):
    """A variable of the environment is missing or wrong; the message names it and says what it should hold."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the bot's providers and its order backend are."""

    aurora_url: str
    borealis_url: str
    orders_url: str
    aurora_model: str
    borealis_model: str
    api_key: str
    queue_file: str  # of the tickets to people; a path lets both zones share one

    @classmethod
    def read(cls, env: Mapping[str, str]) -> "Settings":
        """From the environment.

        Raises:
            SettingError: A URL is missing or is none.
        """
        return cls(
            aurora_url=url_of("DEMO_AURORA_URL", env) + "/v1",
            borealis_url=url_of("DEMO_BOREALIS_URL", env) + "/v1",
            orders_url=url_of("DEMO_ORDERS_URL", env),
            aurora_model=env.get("DEMO_AURORA_MODEL", "aurora-large"),
            borealis_model=env.get("DEMO_BOREALIS_MODEL", "borealis-light"),
            api_key=env.get("DEMO_API_KEY", "demo-key"),
            queue_file=env.get("DEMO_QUEUE_FILE", ":memory:"),
        )


def told(error: Exception) -> str:
    """An error in one line of a log."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def url_of(name: str, env: Mapping[str, str]) -> str:
    value = env.get(name, "")
    if not value.startswith(("http://", "https://")):
        raise SettingError(f"{name} must be a URL such as http://127.0.0.1:9101, got {value!r}")
    return value.rstrip("/").removesuffix("/v1")


def bots_of(env: Mapping[str, str]) -> dict[str, str]:
    """URL of the bot in each zone, from DEMO_BOTS.

    Raises:
        SettingError: There is none, or one is not written as zone=URL.
    """
    text = env.get("DEMO_BOTS", "")
    bots = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if not bots or not all(url.startswith(("http://", "https://")) for url in bots.values()):
        wanted = "eu-1a=http://127.0.0.1:9001,eu-1b=http://127.0.0.1:9002"
        raise SettingError(f"DEMO_BOTS must list the bots as zone=URL, such as {wanted}, got {text!r}")
    return {zone.strip(): url.rstrip("/") for zone, url in bots.items()}
