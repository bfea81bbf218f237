"""Whom an address of the network belongs to."""

import ipaddress


def owner(address: str) -> str:
    """What has one owner: an IPv4 address, or of IPv6 the 2 to the power of 64 that everybody has.

    What is no address is left as it is: a proxy may say what it likes.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
