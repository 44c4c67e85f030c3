"""Opens and seals one PFQ1 file (docs/queue.md) with nothing but `cryptography`.

    pfq1.py open KEY NAME < FILE                                  prints direction, seq and created, then the body
    pfq1.py seal KEY NAME DIRECTION SEQ CREATED SALT < BODY > FILE
"""
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HEADER = struct.Struct(">4sBcHQQ32s")


def cipher(key, direction, salt):
    hkdf = HKDF(SHA256(), 32, salt, b"pinfold queue v1" + direction)
    return AESGCM(hkdf.derive(bytes.fromhex(key)))


def opened(key, name, file):
    header = file[:56]
    magic, version, direction, reserved, seq, created, salt = HEADER.unpack(header)
    assert (magic, version, reserved) == (b"PFQ1", 1, 0), "no PFQ1 file"
    body = cipher(key, direction, salt).decrypt(bytes(12), file[56:], header + name.encode())
    return b"%s %d %d\n" % (direction, seq, created) + body


def sealed(key, name, direction, seq, created, salt, body):
    direction, salt = direction.encode(), bytes.fromhex(salt)
    header = HEADER.pack(b"PFQ1", 1, direction, 0, int(seq), int(created), salt)
    return header + cipher(key, direction, salt).encrypt(bytes(12), body, header + name.encode())


if __name__ == "__main__":
    verb = {"open": opened, "seal": sealed}[sys.argv[1]]
    sys.stdout.buffer.write(verb(*sys.argv[2:], sys.stdin.buffer.read()))
