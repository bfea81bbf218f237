"""What a follower does about edited policy files, at once and without its tests."""

from v6srv.authz.source.folder import stamp
from v6srv.authz.source.live import PolicyStore


def take_up(store: PolicyStore) -> bool:
    """Let the files as they are now go live; False when that cannot be."""
    edit = store.check_files("test")
    return edit is not None and store.take_up(edit, "test")


def look(store: PolicyStore) -> bool:
    """As `take_up`, if a file has changed; and follow the candidate in shadow."""
    live = stamp(store.folder) != store.seen and take_up(store)
    store.follow_shadow()
    return live
