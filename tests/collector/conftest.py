"""What the tests of forwarding share: backends that are up, and collectors' exporting halves to send to them."""

import pytest
from forward_kit import GrpcBackend, HttpBackend
from forward_node import nodes, serving


@pytest.fixture
def node(tmp_path):
    with nodes(tmp_path) as make:
        yield make


@pytest.fixture(params=["http", "grpc"])
def backend(request):
    """A backend of each kind, one after the other."""
    with serving(HttpBackend() if request.param == "http" else GrpcBackend()) as one:
        yield one


@pytest.fixture
def web():
    """A backend over HTTP."""
    with serving(HttpBackend()) as one:
        yield one
