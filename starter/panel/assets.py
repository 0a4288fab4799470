"""The static files: read once, named by their content, and therefore never out of date in a browser."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, kw_only=True)
class Asset:
    content: bytes
    zipped: bytes
    kind: str


class Assets:
    """Every file of `static/`; `name` gives the one under which a file is served."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._names: dict[str, str] = {}
        self._assets: dict[str, Asset] = {}
        for file in sorted(folder.iterdir()):
            if file.suffix not in _TYPES:
                continue
            content = file.read_bytes()
            served = f"{file.stem}.{hashlib.sha256(content).hexdigest()[:12]}{file.suffix}"
            self._names[file.name] = served
            self._assets[served] = Asset(
                content=content, zipped=gzip.compress(content, mtime=0), kind=_TYPES[file.suffix]
            )

    def name(self, file: str) -> str:
        return self._names[file]

    async def serve(self, request: Request) -> Response:
        asset = self._assets.get(request.path_params["file"])
        if asset is None:
            raise HTTPException(404)
        headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(asset.content, media_type=asset.kind, headers=headers)
        return Response(asset.zipped, media_type=asset.kind, headers=headers | {"content-encoding": "gzip"})
