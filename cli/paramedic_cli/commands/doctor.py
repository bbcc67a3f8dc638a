"""`paramedic doctor`: looks at everything a platform needs, and says what to mend."""

from dataclasses import asdict

import typer
from rich.table import Table
from rich.text import Text

from paramedic_cli.options import Config, DataDir, JsonTo, OtelConfig, environment
from paramedic_cli.output import check_json_target, console_for, write_json

STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def doctor(
    config: Config = None, otel_config: OtelConfig = None, data_dir: DataDir = None, json_to: JsonTo = None
) -> None:
    """Check configuration, ports, store, Slack and links; exit 1 when something must be mended."""
    from paramedic_cli.checkup import checkup

    check_json_target(json_to)
    findings = checkup(environment(data_dir), config, otel_config)
    table = Table("", "what", "finding", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(
            Text(finding.state, style=STYLES[finding.state]), finding.what, Text(finding.text, overflow="fold")
        )
    console_for(json_to).print(table)
    write_json([asdict(finding) for finding in findings], json_to)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)
