"""In which order the files of tests are begun when several run at a time."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long and mostly waits comes first, so that others run beside it and the end is not left to one."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)
