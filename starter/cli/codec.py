"""`changeover codec-server`."""

import json

import click

from changeover.settings import Settings, load
from starter.cli import exits


@click.command("codec-server", help="Decode encrypted payloads for the Temporal UI, on this machine alone.")
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=8081, show_default=True, help="Port on 127.0.0.1."
)
@click.option(
    "--origin",
    default="http://127.0.0.1:8233",
    show_default=True,
    help="The UI's address, as browsers see it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when it is ready.")
def codec_server(port: int, origin: str, *, as_json: bool) -> None:
    import uvicorn  # noqa: PLC0415 - only this command needs it
    from temporalio.envconfig import ClientConfig  # noqa: PLC0415

    from starter.codec_server import create_codec_server  # noqa: PLC0415

    settings = load(Settings)
    if settings.payload_key_id is None:
        click.echo("CHANGEOVER_PAYLOAD_KEY_ID is not set: nothing is encrypted", err=True)
        raise SystemExit(exits.SETTINGS)
    namespace = ClientConfig.load_client_connect_config().get("namespace", "default")
    app = create_codec_server(
        settings.payload_secrets, settings.payload_key_id, origin=origin.rstrip("/"), namespace=namespace
    )
    ready = {"codec_url": f"http://127.0.0.1:{port}", "namespace": namespace, "origin": origin}
    said = "{codec_url} decodes payloads of the namespace {namespace} for {origin}".format_map(ready)
    click.echo(json.dumps(ready) if as_json else said)
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning")
