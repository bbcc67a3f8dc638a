"""The `paramedic` command: a shim that starts without the platform's packages.

paramedic run python app.py   -> paramedic.run, with the base install alone
paramedic anything else       -> paramedic_cli.app, which needs paramedic[platform]
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["run"]:
        from paramedic.run import main as run

        return run(words[1:])
    try:
        from paramedic_cli.app import run_app
    except ModuleNotFoundError as missing:
        sys.stderr.write(
            f"paramedic: {' '.join(words[:1]) or 'this command'} needs the platform's packages "
            f"({missing.name} is missing); pip install 'paramedic[platform]'. `paramedic run` works without.\n"
        )
        return 2
    return run_app(words)


if __name__ == "__main__":
    sys.exit(main())
