"""Which otel-config.yaml the embedded collector reads (named, here, or built in), and the prices of models."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from paramedic_cli.errors import UserError
from paramedic_collector.config.load import ConfigError, load
from paramedic_collector.config.model import CollectorConfig
from paramedic_collector.prices import VARIABLE, Prices, PricesInvalid

FILE = "otel-config.yaml"
PACKAGE = Path(__file__).parent


def config_file(named: Path | None, here: Path | None = None) -> Path:
    """The file to read. The built-in one lies in the installed package, or in the checkout that it runs from."""
    if named is not None:
        return named
    return next((path for path in _places(here or Path.cwd()) if path.is_file()), Path(FILE))


def collector_config(named: Path | None, env: Mapping[str, str]) -> CollectorConfig:
    """The collector's configuration.

    Raises:
        UserError: One sentence for each thing in the file that is wrong.
    """
    try:
        return load(config_file(named), env)
    except ConfigError as error:
        raise UserError(*str(error).split("\n"), code=2) from None


def prices_of(env: Mapping[str, str]) -> Prices:
    """Prices of models, those of the team's own file first.

    Raises:
        UserError: One sentence for each thing in that file that is wrong.
    """
    try:
        return Prices.load(env.get(VARIABLE))
    except PricesInvalid as error:
        raise UserError(*error.mistakes, code=2) from None


def _places(here: Path) -> Iterable[Path]:
    yield here / FILE
    yield PACKAGE / FILE
    yield PACKAGE.parents[1] / FILE
