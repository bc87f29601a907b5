"""Which of this machine's addresses and interfaces others are reached by, and a free port there. Sends nothing."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from pathlib import Path

from launcher.errors import BackendError, Problem

SIOCGIFADDR = 0x8915
"""Linux: the IPv4 address of an interface."""
DISCARD = 9
"""A port to name when only the route to a host matters."""


def address_towards(host: str) -> str:
    """This machine's own address on the way to that host. Raises BackendError where there is none."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, DISCARD, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # of a datagram socket: a question to the routing table, no packet
            return str(probe.getsockname()[0])
    except OSError as error:
        do = "the machines of a run must reach each other by name"
        raise BackendError(Problem(f"there is no way to {host}: {error}", socket.gethostname(), do)) from None


def interface_of(address: str) -> str:
    """The name of the interface that has this address. Raises BackendError where none has."""
    for _, name in socket.if_nameindex():
        if address in _addresses(name):
            return name
    raise BackendError(Problem(f"no network interface has the address {address}", socket.gethostname()))


def free_port(address: str) -> int:
    """A port of this address that is free at the moment."""
    return free_ports(address, 1)[0]


def free_ports(address: str, count: int) -> list[int]:
    """That many different free ports."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.ExitStack() as opened:
        probes = [opened.enter_context(socket.socket(family, socket.SOCK_STREAM)) for _ in range(count)]
        for probe in probes:
            probe.bind((address, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _addresses(interface: str) -> set[str]:
    addresses = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            reply = fcntl.ioctl(probe.fileno(), SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
            addresses.add(socket.inet_ntoa(reply[20:24]))
        except OSError:
            pass  # it has none of IPv4
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return addresses
    rows = [line.split() for line in lines]
    return addresses | {
        socket.inet_ntop(socket.AF_INET6, bytes.fromhex(row[0])) for row in rows if row[-1] == interface
    }
