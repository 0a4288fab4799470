"""`python -m starter.api`: the API as a process, which prints one JSON line, `api_url`, when it is ready."""

import argparse
import asyncio
import logging
import sys
from typing import NoReturn

from pydantic import ValidationError

from changeover.settings import EmbeddedMissing
from starter.api.serving import PortTaken, serve
from starter.process import leave

_CANNOT_START = 5


def main() -> NoReturn:
    parser = argparse.ArgumentParser(prog="python -m starter.api", description="Changeover's REST API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on; 0 takes a free one")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        asyncio.run(serve(options.host, options.port))
    except (EmbeddedMissing, PortTaken) as wrong:
        sys.stderr.write(f"the API can't start: {wrong}\n")
        leave(_CANNOT_START)
    except ValidationError as wrong:
        for mistake in wrong.errors(include_url=False, include_input=False, include_context=False):
            name = "_".join(str(part) for part in mistake["loc"]).upper()
            sys.stderr.write(f"the API can't start: CHANGEOVER_{name}: {mistake['msg']}\n")
        leave(_CANNOT_START)
    leave(0)


if __name__ == "__main__":
    main()
