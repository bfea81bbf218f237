"""/blobstream: this server keeps inputs and results in its database, and says so."""

from typing import Never

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.errors import NotSupported
from v6srv.wire.errors import ErrorOut
from v6srv.wire.v4.blobstream import BlobStoreOut

blp = Blueprint("blobstream", __name__, description="Inputs and results in a store of their own")
_has_none = blp.alt_response(501, schema=ErrorOut, description="This server has no such store")
_anyone = guard.anyone("it is the same for everybody")


@blp.route("/blobstream/status")
class BlobStore(MethodView):
    @_anyone
    @blp.response(200, BlobStoreOut)
    def get(self):
        """Whether there is a store for large inputs and results: programs ask before each."""
        return {"blob_store_enabled": False}


@blp.route("/blobstream")
class Blobs(MethodView):
    @_anyone
    @_has_none
    @blp.response(201)
    def post(self):
        """Not supported."""
        return _refuse()


@blp.route("/blobstream/<string:uuid>")
class Blob(MethodView):
    @_anyone
    @_has_none
    @blp.response(200)
    def get(self, uuid):
        """Not supported."""
        return _refuse()


def _refuse() -> Never:
    raise NotSupported("This server has no store for large inputs and results")
