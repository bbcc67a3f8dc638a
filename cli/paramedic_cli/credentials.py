"""Where a platform is, and who may ask it: from the environment, else from the file in the data folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from paramedic.contract.credentials import credentials_file
from paramedic.contract.keys import operator_token
from paramedic_cli.errors import UserError


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the first `paramedic up` wrote."""

    url: str  # of the API
    master: str  # everything secret is derived from it


def read_credentials(env: Mapping[str, str]) -> Credentials:
    """The credentials in the data folder.

    Raises:
        UserError: There are none, or they cannot be read.
    """
    path = credentials_file(env)
    try:
        raw = json.loads(path.read_text())
        return Credentials(str(raw["url"]), str(raw["master"]))
    except FileNotFoundError:
        raise UserError(
            f"no platform was ever started here ({path} is not there); start one with `paramedic up`, "
            "or set PARAMEDIC_URL and PARAMEDIC_OPERATOR_TOKEN"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and start `paramedic up` again") from None


def find_api(env: Mapping[str, str]) -> tuple[str, str]:
    """The URL of the API and an operator's token.

    Raises:
        UserError: Neither the environment nor the credentials file says where it is.
    """
    url, token = env.get("PARAMEDIC_URL"), env.get("PARAMEDIC_OPERATOR_TOKEN")
    if url and token:
        return url.rstrip("/"), token
    known = read_credentials(env)
    return (url or known.url).rstrip("/"), token or operator_token(known.master)
