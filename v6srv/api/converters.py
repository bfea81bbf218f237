"""What may stand in a URL where a route has a variable part."""

from werkzeug.routing import IntegerConverter


class Digits(IntegerConverter):
    """`<int:id>`, as ASCII digits only: one row has one address, whatever scripts there are.

    So many digits at most that Python, which refuses to read thousands, reads them.
    """

    regex = "[0-9]{1,100}"
