"""/console: what is going on."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.console.blueprint import blp, page
from v6srv.vocabulary import Operation, Resource


@blp.route("/")
class Overview(MethodView):
    @guard.own(Resource.USER, Operation.VIEW)
    @page("overview.html")
    def get(self, row):
        """What somebody may see at once."""
        return {"user": row}
