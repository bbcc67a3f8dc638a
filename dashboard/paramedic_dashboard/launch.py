"""The command line that starts the dashboard as a process of its own.

    argv, env = command("http://127.0.0.1:8600", token, "127.0.0.1", 8501)
    subprocess.Popen(argv, env=env)

The token travels in the environment: a command line can be read by every user of the machine.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

API_URL = "PARAMEDIC_API_URL"
TOKEN = "PARAMEDIC_OPERATOR_TOKEN"
OPERATOR = "PARAMEDIC_OPERATOR_NAME"  # whose name stands on what is done here; default: the user of the process

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANYWHERE = ("0.0.0.0", "::")


def command(
    api_url: str,
    token: str,
    host: str = "127.0.0.1",
    port: int = 8501,
    *,
    public_url: str = "",
    env: Mapping[str, str] = os.environ,
) -> tuple[list[str], dict[str, str]]:
    """What to run, and in which environment.

    Args:
        api_url: Where the detector's API listens.
        token: The operator token of that API.
        host: Address to listen on.
        port: Port to listen on; 0 is refused, since links must name it.
        public_url: How people reach the dashboard, when that is another host name; others are refused.
        env: The environment to start from.

    Raises:
        ValueError: A value cannot work; the message names it and shows it.
    """
    if urlsplit(api_url).scheme not in ("http", "https"):
        raise ValueError(f"{API_URL} must be an http:// or https:// address, got {api_url!r}")
    if not token:
        raise ValueError(f"{TOKEN} is empty; `paramedic up` prints the token on its first start")
    if not 0 < port < 65536:
        raise ValueError(f"the dashboard's port must be between 1 and 65535, got {port!r}")
    app = Path(__file__).with_name("asgi_app.py")
    argv = [sys.executable, "-m", "streamlit", "run", str(app), f"--server.address={host}", f"--server.port={port}"]
    argv += [f"--server.allowedHosts={name}" for name in _hosts(host, public_url)]
    argv += [
        "--server.headless=true",
        "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false",
        "--client.showErrorDetails=none",
        "--logger.hideWelcomeMessage=true",
    ]
    return argv, {**env, API_URL: api_url, TOKEN: token}


def _hosts(host: str, public_url: str) -> list[str]:
    """Names under which a browser may open the live connection: a page of another site must not, by DNS tricks."""
    public = urlsplit(public_url).hostname if public_url else None
    if host in ANYWHERE and not public:
        return ["*"]  # asked to listen everywhere and not told under which name
    names = (*LOOPBACK, public, None if host in ANYWHERE else host)
    return list(dict.fromkeys(name for name in names if name))
