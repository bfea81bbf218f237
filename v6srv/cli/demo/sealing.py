"""What programs of both generations make of inputs and results on their way: plain or encrypted.

Plain is base64. Encrypted is `key$iv$message`, each base64: AES-256-CTR, with a key that is
encrypted for the organization that may read it.
"""

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BITS = 2048  # it lasts as long as the demo


def encode(content: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(content).decode()


class Plain:
    """No encryption."""

    public_key = ""

    def seal(self, content: bytes, _public_key: str) -> str:
        """For whoever reads it."""
        return encode(content)

    def open(self, text: str) -> bytes:
        """What somebody has sent."""
        return base64.b64decode(text)


class Sealed:
    """The key of an organization, which its nodes and researchers share."""

    def __init__(self, file: Path) -> None:
        """A new key, kept in a file as programs of both generations read it."""
        self._private = rsa.generate_private_key(65537, _BITS)
        written = self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        file.touch(mode=0o600)
        file.write_bytes(written)
        pem = self._private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_key = encode(pem)

    def seal(self, content: bytes, public_key: str) -> str:
        """For the organization with this public key."""
        reader = serialization.load_pem_public_key(base64.b64decode(public_key))
        assert isinstance(reader, rsa.RSAPublicKey)
        secret, iv = os.urandom(32), os.urandom(16)
        return "$".join(
            map(
                encode,
                (reader.encrypt(secret, padding.PKCS1v15()), iv, _mixed(secret, iv, content)),
            )
        )

    def open(self, text: str) -> bytes:
        """What was sealed for this organization."""
        key, iv, message = map(base64.b64decode, text.split("$"))
        return _mixed(self._private.decrypt(key, padding.PKCS1v15()), iv, message)


def _mixed(secret: bytes, iv: bytes, content: bytes) -> bytes:
    """Encrypted, or decrypted: in this mode both are the same."""
    stream = Cipher(algorithms.AES(secret), modes.CTR(iv)).encryptor()
    return stream.update(content) + stream.finalize()
