"""Which versions of TLS and which ciphers an address takes, by shaking hands with each (runbook 8.3 step 4).

A version is offered alone, with every cipher that our OpenSSL has; what the other side takes is left out the next time,
until it takes none. So it is measured and not read from a configuration.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from activities.catalogue.certificates import ServedName
from activities.certificates.probe import addresses_of, shake_hands, why_not
from libraries import openssl

_SECONDS = 5.0
_MOST_CIPHERS = 60
_ALL = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
_NEWEST = ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256")


@dataclass(frozen=True)
class Offer:
    """What one address said to one version."""

    version: str
    ciphers: tuple[str, ...] = ()
    why: str = ""
    """Why it was not taken; empty where it was."""

    asked: bool = True
    """Whether it could be asked at all."""


def addresses(served: ServedName) -> list[tuple[str, int]]:
    """Give the addresses of a name.

    Raises:
        OSError, UnicodeError: it has none.

    """
    return addresses_of(served)


def offers(host: str, address: tuple[str, int]) -> list[Offer]:
    """Offer each version to an address.

    Raises:
        OSError: it can't be connected to.

    """
    socket.create_connection(address, timeout=_SECONDS).close()
    versions = {
        "TLS 1.0": openssl.TLS1_VERSION,
        "TLS 1.1": openssl.TLS1_1_VERSION,
        "TLS 1.2": openssl.TLS1_2_VERSION,
        "TLS 1.3": openssl.TLS1_3_VERSION,
    }
    return [_offered(host, address, name, number) for name, number in versions.items()]


def _offered(host: str, address: tuple[str, int], name: str, number: int) -> Offer:
    newest = number == openssl.TLS1_3_VERSION
    taken: list[str] = []
    while len(taken) < _MOST_CIPHERS:
        if newest:
            left = [cipher for cipher in _NEWEST if cipher not in taken]
            set_ciphers = _newest(":".join(left))
        else:
            left = [_ALL]
            set_ciphers = _older(":".join([_ALL, *(f"!{cipher}" for cipher in taken)]))
        if not left:
            break
        try:
            cipher = _shaken(host, address, number, set_ciphers)
        except (OSError, openssl.Error) as error:
            if taken:
                break
            why = why_not(error)
            ours = isinstance(error, openssl.Error) and "no protocols available" in why
            return Offer(name, why="our OpenSSL does not offer it" if ours else why, asked=not ours)
        if cipher in taken:
            break
        taken.append(cipher)
    return Offer(name, tuple(taken))


def _newest(names: str) -> Callable[[Any], None]:
    return lambda context: context.set_tls13_ciphersuites(names.encode())


def _older(names: str) -> Callable[[Any], None]:
    return lambda context: context.set_cipher_list(names.encode())


def _shaken(host: str, address: tuple[str, int], version: int, set_ciphers: Callable[[Any], None]) -> str:
    """Shake hands once; gives the cipher.

    Raises:
        OSError, OpenSSL.SSL.Error: it did not come about.

    """
    context = openssl.Context(openssl.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    set_ciphers(context)
    context.set_verify(openssl.VERIFY_NONE, lambda *_: True)
    with socket.create_connection(address, timeout=_SECONDS) as connected:
        connected.setblocking(False)
        connection = openssl.Connection(context, connected)
        shake_hands(connection, host, time.monotonic() + _SECONDS)
        return str(connection.get_cipher_name())
