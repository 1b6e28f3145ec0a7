"""What is open to the world that should not be: said by --check-config, and by the log at the start.

Loaded by processes that go on to serve: nothing is imported before it is needed.
"""

from qpopper_py.listeners import host_and_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.settings import Settings


def dangers(settings: "Settings") -> "Iterator[str]":
    """A line for each listener that strangers can learn passwords at."""
    for given in settings.listen:
        one = settings.listener(given)
        if one.cleartext == "always" and one.tls != "implicit" and public(one.address):
            yield (
                f"auth.cleartext: always, and {one.address} is open to the world: passwords can be read on the way;"
                " say auth.cleartext = tls, with a tls.certificate, where clients allow it"
            )
        if one.minimum < "1.2" and settings.tls_certificate and one.tls != "no":
            yield f"tls.minimum: {one.address} speaks TLS {one.minimum}, which is no longer safe"


def public(where: str) -> bool:
    """Whether strangers can come to the address ``where``: all addresses, or one that is routed everywhere."""
    host = host_and_port(where)[0]
    if not host:
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return host != "localhost"
