"""Frames between the service and a zygote, over a stream socket.

A frame is two lengths, a JSON object of that first length and raw bytes of the second. The
two ends trust each other; programs never hold a descriptor of this socket.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

LENGTHS = struct.Struct("=IQ")

Frame = tuple[dict[str, Any], bytes]


class Closed(Exception):
    """The other end is gone."""


def pack(header: dict[str, Any], payload: bytes = b"") -> bytes:
    content = json.dumps(header, separators=(",", ":")).encode()
    return LENGTHS.pack(len(content), len(payload)) + content + payload


def unpack(header: bytes, payload: bytes) -> Frame:
    return json.loads(header), payload


def send(descriptor: int, header: dict[str, Any], payload: bytes = b"") -> None:
    write_all(descriptor, pack(header, payload))


def receive(descriptor: int) -> Frame:
    """The next frame, and not a byte more: what follows may be another process's to read.

    Raises:
        Closed: the other end closed the socket.
    """
    header_length, payload_length = LENGTHS.unpack(read_exactly(descriptor, LENGTHS.size))
    header = read_exactly(descriptor, header_length)
    return unpack(header, read_exactly(descriptor, payload_length))


def read_exactly(descriptor: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.read(descriptor, min(length, 1 << 20))
        if not part:
            raise Closed
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
