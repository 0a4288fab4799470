"""What is stored in Temporal, encrypted: AES-256-GCM, each payload bound to its namespace and workflow id.

The binding and the key's id stand beside the ciphertext and are authenticated with it (associated data), so
that a payload which was moved to another workflow does not decode there. What no codec ever sees stays
readable: search attributes, workflow ids and types, activity names, task queues, times.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    ActivitySerializationContext,
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

ENCODING = b"binary/changeover-aes256gcm"
_NONCE = 12
_SCHEDULED = re.compile(r"-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""What Temporal appends to the workflow id that a schedule names."""


class PayloadUndecodable(ValueError):
    """The payload is of another workflow, was altered, or its key is not there; the text says which."""


@dataclass(frozen=True)
class EncryptionCodec(PayloadCodec, WithSerializationContext):
    """Encrypts under the present key, decrypts under any. Keys have 32 characters or more.

    Without a context (as in the codec server, to which the UI names no workflow) a payload is encrypted for
    no workflow, and decoded as what it says it is.
    """

    ciphers: Mapping[str, AESGCM] = field(repr=False)
    current: str
    bound_to: str = ""

    @classmethod
    def of(cls, keys: Mapping[str, bytes], current: str) -> Self:
        return cls({key_id: AESGCM(_derived(key)) for key_id, key in keys.items()}, current)

    def with_context(self, context: SerializationContext) -> Self:
        if not isinstance(context, WorkflowSerializationContext | ActivitySerializationContext):
            return self
        return replace(self, bound_to=f"{context.namespace}/{context.workflow_id or ''}")

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._decrypted(payload) for payload in payloads]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce = os.urandom(_NONCE)
        key_id, bound_to = self.current.encode(), self.bound_to.encode()
        sealed = self.ciphers[self.current].encrypt(
            nonce, payload.SerializeToString(), _associated(key_id, bound_to)
        )
        metadata = {"encoding": ENCODING, "key-id": key_id, "bound-to": bound_to}
        return Payload(metadata=metadata, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload  # from before encryption was switched on
        key_id, bound_to = payload.metadata["key-id"], payload.metadata["bound-to"]
        cipher = self.ciphers.get(key_id.decode(errors="replace"))
        if cipher is None:
            raise PayloadUndecodable(
                f"the payload key {key_id.decode(errors='replace')} is not in CHANGEOVER_PAYLOAD_KEYS"
            )
        if self.bound_to and not _belongs(bound_to.decode(errors="replace"), self.bound_to):
            raise PayloadUndecodable(f"a payload of {bound_to.decode(errors='replace')} is no one else's")
        try:
            sealed = payload.data[_NONCE:]
            opened = cipher.decrypt(payload.data[:_NONCE], sealed, _associated(key_id, bound_to))
        except InvalidTag:
            opened = None
        if opened is None:
            raise PayloadUndecodable("the payload was altered, or encrypted under another key of this id")
        return Payload.FromString(opened)


_JSON = PydanticJSONPlainPayloadConverter()


class SharedPayloadConverter(CompositePayloadConverter):
    """The SDK's converter for pydantic, but what reads and writes JSON is the process's.

    A worker makes a converter for each run. One that works out anew how each of our types is read was half of
    what a run takes of a worker's memory, and a fifth of its CPU for a request (`docs/benchmarks.md`).
    """

    def __init__(self) -> None:
        super().__init__(
            *(
                _JSON if isinstance(converter, JSONPlainPayloadConverter) else converter
                for converter in DefaultPayloadConverter.default_encoding_payload_converters
            )
        )


def data_converter(keys: Mapping[str, bytes], current: str | None) -> DataConverter:
    """Return the converter of every client and worker; one that encrypts, when there are keys."""
    plain = DataConverter(payload_converter_class=SharedPayloadConverter)
    if current is None:
        return plain
    return replace(
        plain,
        payload_codec=EncryptionCodec.of(keys, current),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def _belongs(bound_to: str, here: str) -> bool:
    return bound_to == here or (
        here.startswith(bound_to) and _SCHEDULED.fullmatch(here[len(bound_to) :]) is not None
    )


def _associated(key_id: bytes, bound_to: bytes) -> bytes:
    return b"\0".join((b"changeover-payload", key_id, bound_to))


def _derived(key: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"changeover-payload").derive(key)
