"""The version that clients of the contract read, and the version of this server."""

from importlib.metadata import PackageNotFoundError, version

from v6srv.vocabulary import V3, V4

CONTRACT_VERSIONS = {V3: "3.11.1", V4: "4.15.2"}
"""The release of each dialect. 3.x programs compare nothing but expect a 3.x version (rest.md 3.1);
the command line of 4.x nodes pulls the image of its first two numbers."""

try:
    VERSION = version("v6srv")
except PackageNotFoundError:  # run from a source tree that is not installed
    VERSION = "0"
