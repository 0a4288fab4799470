"""The codec server: the Temporal UI has it decode what is encrypted, in the operator's own browser.

It listens on this machine alone and answers the UI's origin alone: whoever may sign in here and reach the UI
reads payloads. It only decodes.
"""

import json
from collections.abc import Mapping

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payloads

from changeover.payload_encryption import EncryptionCodec, PayloadUndecodable

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MOST_BYTES = 8 * 1024 * 1024


def create_codec_server(keys: Mapping[str, bytes], current: str, *, origin: str, namespace: str) -> Starlette:
    """Return the server for the UI at `origin` (as in `http://127.0.0.1:8233`) and one namespace."""
    codec = EncryptionCodec.of(keys, current)

    async def decode(request: Request) -> Response:
        asked = request.headers.get("x-namespace", namespace)
        if asked != namespace:
            return _refused(403, f"this codec server is for the namespace {namespace}")
        if request.headers.get("origin", origin) != origin:
            return _refused(403, f"this codec server is for the UI at {origin}")
        body = await request.body()
        if len(body) > _MOST_BYTES:
            return _refused(413, "too much at once")
        try:
            payloads = ParseDict(json.loads(body), Payloads())
            decoded = Payloads(payloads=await codec.decode(payloads.payloads))
        except (ValueError, ParseError) as wrong:
            told = str(wrong) if isinstance(wrong, PayloadUndecodable) else "no payloads as JSON"
            return _refused(400, told)
        return JSONResponse(MessageToDict(decoded))

    return Starlette(
        routes=[Route("/decode", decode, methods=["POST"])],
        middleware=[
            # A page elsewhere may make a browser call this machine under a name of its own.
            Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"]),
            Middleware(
                CORSMiddleware,
                allow_origins=[origin],
                allow_methods=["POST"],
                allow_headers=["content-type", "x-namespace", "authorization"],
                allow_credentials=True,
            ),
        ],
    )


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"message": why}, status_code=status)
