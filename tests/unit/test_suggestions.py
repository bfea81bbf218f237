"""A word that nobody knows: what was meant is said when it is plausible, else nothing."""

import pytest

from v6srv.suggestions import nearest, suggestion

KNOWN = ("port", "ip", "prod", "server", "vpn_server", "uri", "jwt_secret_key", "allow", "deny")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("prot", "port"),  # two letters exchanged
        ("prt", "port"),
        ("portt", "port"),
        ("prud", "prod"),
        ("url", "uri"),
        ("vpn-server", "vpn_server"),
        ("VPN_SERVER", "vpn_server"),
        ("server_vpn", "vpn_server"),
        ("jwt_secret", "jwt_secret_key"),
        ("denied", "deny"),
        ("allowed", "allow"),
        ("server_url", ""),  # nothing but letters in common with vpn_server
        ("id", ""),
        ("permit", ""),
        ("support", ""),
        ("", ""),
    ],
)
def test_what_was_meant(word: str, meant: str) -> None:
    assert nearest(word, KNOWN) == meant
    assert suggestion(word, KNOWN) == (f", did you mean {meant}?" if meant else "")
