"""/vpn: configurations for nodes, addresses for algorithms."""

from flask import current_app
from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.service import vpn
from v6srv.service.vpn import Relatives
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.errors import ErrorOut
from v6srv.wire.vpn import AddressesOut, AddressQuery, VpnConfigOut, VpnUpdate

blp = Blueprint("vpn", __name__, description="VPN")
# Who joins the VPN gets another address, and tells it.
_JOINS = guard.own(Resource.NODE, changes=frozenset({"ip"}))


def _portal():
    return vpn.portal(current_app.config["SETTINGS"].vpn_server)


@blp.route("/vpn")
class Vpn(MethodView):
    @_JOINS
    @blp.response(200, VpnConfigOut)
    @blp.alt_response(500, schema=ErrorOut, description="The portal refuses")
    @blp.alt_response(501, schema=ErrorOut, description="This server has no VPN")
    def get(self):
        """A VPN configuration with a fresh key pair."""
        return {"ovpn_config": vpn.new_config(_portal())}


@blp.route("/vpn/update")
class VpnUpdates(MethodView):
    @_JOINS
    @blp.arguments(VpnUpdate)
    @blp.response(200, VpnConfigOut)
    @blp.alt_response(500, schema=ErrorOut, description="The portal refuses")
    @blp.alt_response(501, schema=ErrorOut, description="This server has no VPN")
    def post(self, body):
        """The given VPN configuration with a fresh key pair."""
        return {"ovpn_config": vpn.renew_keys(_portal(), body["vpn_config"])}


@blp.route("/vpn/algorithm/addresses")
class AlgorithmAddresses(MethodView):
    @guard.rows(Resource.PORT, Operation.VIEW)
    @blp.arguments(AddressQuery, location="query")
    @blp.response(200, AddressesOut)
    def get(self, query, who, authz, rows):
        """Where the algorithms of the own task, its children or its parent listen."""
        label = query.pop("label", None)
        return {"addresses": vpn.addresses(who, authz, rows, Relatives(**query), label)}
