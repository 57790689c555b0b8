"""The command line, called in this process."""

from tests.cli.conftest import call  # noqa: F401  a fixture
