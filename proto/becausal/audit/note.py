"""Signed notes and checkpoints in the forms of C2SP (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), Ed25519.

A checkpoint says: the log of this name has so many entries, and this is the root over them. Anybody may keep one, and
whoever has kept one can prove that the log was changed behind it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from becausal.audit.errors import KeyFormatError, NoteFormatError
from becausal.audit.merkle import HASH_BYTES

_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
_PRIVATE = "PRIVATE+KEY+"
_ID_BYTES = 4
_KEY_BYTES = 33
_PUBLIC_PARTS = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a log."""

    origin: str
    """Name of the log."""

    size: int
    root: bytes

    @property
    def body(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, body: str) -> Self:
        """Read the text of a checkpoint.

        Raises:
            NoteFormatError: it is none.
        """
        try:
            origin, size, root, *_ = body.split("\n")
            checkpoint = cls(origin, int(size), base64.b64decode(root, validate=True))
        except (ValueError, binascii.Error):
            checkpoint = cls("", 0, b"")
        if not checkpoint.origin or len(checkpoint.root) != HASH_BYTES or not body.startswith(checkpoint.body):
            raise NoteFormatError("The text is no checkpoint; give one as `becausal audit checkpoint` prints it.")
        return checkpoint


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key and the name it signs under."""

    name: str
    public: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        return _key_id(self.name, _raw(self.public))

    @property
    def text(self) -> str:
        """The key as one line: name, id, and base64 of the key."""
        encoded = base64.b64encode(_ED25519 + _raw(self.public)).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a key from its line.

        Raises:
            KeyFormatError: it is none.
        """
        parts = text.strip().split("+", 2)
        data = _decoded(parts[-1])
        if len(parts) != _PUBLIC_PARTS or len(data) != _KEY_BYTES or data[:1] != _ED25519:
            raise KeyFormatError("The text is no public key; give the line that `becausal audit keygen` printed.")
        verifier = cls(parts[0], Ed25519PublicKey.from_public_bytes(data[1:]))
        if verifier.key_id.hex() != parts[1]:
            raise KeyFormatError("The public key's id is not that of the key; copy the line again.")
        return verifier

    def opened(self, note: str) -> str | None:
        """The signed text, or None when this key has not signed it."""
        body, signatures = split_note(note)
        for name, key_id, signature in signatures:
            if name == self.name and key_id == self.key_id:
                try:
                    self.public.verify(signature, body.encode())
                except InvalidSignature:
                    return None
                return body
        return None


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and the name it signs under."""

    name: str
    private: Ed25519PrivateKey

    @classmethod
    def new(cls, name: str) -> Self:
        """Make a key.

        Raises:
            KeyFormatError: the name cannot stand in a note.
        """
        if not name or not name.isprintable() or "+" in name or any(character.isspace() for character in name):
            raise KeyFormatError(f"The name {name!r} cannot sign; give one without spaces and plus signs.")
        return cls(name, Ed25519PrivateKey.generate())

    @property
    def verifier(self) -> Verifier:
        """The public side."""
        return Verifier(self.name, self.private.public_key())

    @property
    def text(self) -> str:
        """The private key as one line. Keep it secret."""
        seed = self.private.private_bytes(
            serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        )
        encoded = base64.b64encode(_ED25519 + seed).decode()
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a private key from its line.

        Raises:
            KeyFormatError: it is none. The text is not repeated.
        """
        parts = text.strip().removeprefix(_PRIVATE).split("+", 2)
        data = _decoded(parts[-1])
        good = text.startswith(_PRIVATE) and len(parts) == _PUBLIC_PARTS
        if not good or len(data) != _KEY_BYTES or data[:1] != _ED25519:
            raise KeyFormatError("The key file holds no private key; make one with `becausal audit keygen`.")
        signer = cls(parts[0], Ed25519PrivateKey.from_private_bytes(data[1:]))
        if signer.verifier.key_id.hex() != parts[1]:
            raise KeyFormatError("The key file was changed; restore it, or make a key with `becausal audit keygen`.")
        return signer

    def sign(self, body: str) -> str:
        """The note: the text, an empty line, and the signature's line."""
        signature = base64.b64encode(self.verifier.key_id + self.private.sign(body.encode())).decode()
        return f"{body}\n{_DASH}{self.name} {signature}\n"


def split_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text of a note and its signatures: name, key id, signature.

    Raises:
        NoteFormatError: it is no signed note.
    """
    text, gap, lines = note.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise NoteFormatError("The text is no signed note; give one as `becausal audit checkpoint` prints it.")
    signatures = []
    for line in lines.splitlines():
        name, _, encoded = line.removeprefix(_DASH).rpartition(" ")
        data = _decoded(encoded)
        if not line.startswith(_DASH) or not name or len(data) <= _ID_BYTES:
            raise NoteFormatError("A signature of the note cannot be read; copy the note again.")
        signatures.append((name, data[:_ID_BYTES], data[_ID_BYTES:]))
    return text + "\n", signatures


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _key_id(name: str, raw: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + raw).digest()[:_ID_BYTES]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
