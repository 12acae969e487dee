"""The address that the pages are served at, and the names by which requests may ask for them.

A page of another site can have its own name resolve to this machine (DNS rebinding), but the request then
asks for that name. So only names are accepted that no stranger can own: addresses as numbers, `localhost`,
and those of this machine or of `--host`.
"""

import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

LOCAL = "127.0.0.1"
"""The address that only this machine reaches."""


@dataclass(frozen=True, slots=True)
class Host:
    """An address to listen on, see `host`."""

    family: socket.AddressFamily
    address: str
    names: frozenset[str]
    """Names that requests may ask for, in lower case."""
    shown: str
    """How browsers reach it, as in links."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.address).is_loopback

    @property
    def is_any(self) -> bool:
        """Whether it stands for all addresses of this machine."""
        return ip_address(self.address).is_unspecified

    def listen(self, port: int) -> socket.socket:
        """Listen on a port; 0 takes a free one.

        Raises:
            OSError: it is taken, or the address is not this machine's.
        """
        both = self.family == socket.AF_INET6 and self.is_any and socket.has_dualstack_ipv6()
        return socket.create_server((self.address, port), family=self.family, dualstack_ipv6=both)

    def accepts(self, header: str) -> bool:
        """Whether a `Host` header names this machine, with any port: a tunnel may end at another."""
        bracketed = header.startswith("[")
        name = header[1:].partition("]")[0] if bracketed else header.partition(":")[0]
        return name.lower() in self.names or (self.is_any and _is_address(name))


def host(given: str) -> Host:
    """Return the address that `--host` means: one of this machine, a name of it, or all (`0.0.0.0`, `::`).

    Raises:
        OSError: there is no such name.
    """
    try:
        family, *_, found = socket.getaddrinfo(given, None, type=socket.SOCK_STREAM)[0]
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "no such name") from None
    address = str(found[0])
    names = {LOCAL, "localhost", given.lower(), address}
    shown = given
    if ip_address(address).is_unspecified:
        own = socket.gethostname().lower()
        short = own.partition(".")[0]
        names |= {own, short, f"{short}.local"}
        shown = _outward() or own
    return Host(family, address, frozenset(names), f"[{shown}]" if ":" in shown else shown)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _outward() -> str:
    """Return the address of this machine on the way to others; empty where there is none."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.connect(("203.0.113.1", 9))  # an address of documentation; nothing is sent
        return str(asked.getsockname()[0])
    return ""
