"""Answers of `/blobstream` (rest.md 3.11 of 4.x)."""

from marshmallow import fields

from v6srv.wire.base import Output


class BlobStoreOut(Output):
    """Whether there is a store."""

    blob_store_enabled = fields.Boolean(required=True)
