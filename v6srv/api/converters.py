"""What may stand in a URL where a route has a variable part."""

from werkzeug.routing import IntegerConverter


class Digits(IntegerConverter):
    """`<int:id>`, as ASCII digits only: one row has one address, whatever scripts there are."""

    regex = "[0-9]+"
