"""Addresses, interfaces and ports of this machine."""

from __future__ import annotations

import socket

import pytest

from launcher.errors import BackendError
from launcher.host import network


def test_the_way_to_this_machine_is_loopback() -> None:
    assert network.address_towards("127.0.0.1") == "127.0.0.1"
    assert network.interface_of("127.0.0.1") == "lo"


def test_an_address_that_is_nobodys_has_no_interface() -> None:
    with pytest.raises(BackendError, match="no network interface has the address"):
        network.interface_of("203.0.113.9")


def test_a_host_that_nobody_knows_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(BackendError, match=r"there is no way to node7: .*not known"):
        network.address_towards("node7")


def test_a_free_port_can_be_bound_at_once() -> None:
    port = network.free_port("127.0.0.1")
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", port))
