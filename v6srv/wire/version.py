"""The version that clients of the contract read, and the version of this server."""

from importlib.metadata import PackageNotFoundError, version

CONTRACT_VERSION = "3.11.1"
"""3.x clients and nodes compare nothing but expect a 3.x version (rest.md 3.1)."""

try:
    VERSION = version("v6srv")
except PackageNotFoundError:  # run from a source tree that is not installed
    VERSION = "0"
