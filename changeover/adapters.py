"""The adapters that the settings describe (database, catalogue, host, mail), and whether they are well."""

from dataclasses import dataclass, field

from changeover.hosts import Host, open_host
from changeover.mail import SmtpOptions, SmtpTransport
from changeover.settings import WorkerSettings
from changeover.storage import changes, schema
from changeover.storage.catalogue import CatalogueReader
from changeover.storage.database import Database
from changeover.telemetry.figures import Figures


class CannotStart(Exception):
    """Something around the worker is wrong; the text says what, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The adapters that the settings describe."""

    database: Database
    catalogue: CatalogueReader
    host: Host
    transport: SmtpTransport
    sender_domain: str
    figures: Figures = field(default_factory=Figures)


def build_parts(settings: WorkerSettings) -> Parts:
    """Open the adapters. Raises `CannotStart` for settings that can't work together."""
    try:
        options = SmtpOptions(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
            ca_file=settings.smtp_ca_file,
            timeout=settings.smtp_timeout_seconds,
            sender=settings.mail_from,
            sender_name=settings.mail_from_name,
        )
    except ValueError as error:
        raise CannotStart(f"the mail settings can't work: {error}") from None
    figures = Figures()
    database = Database(settings.database_url, pool_size=settings.database_pool, committed=figures.written)
    return Parts(
        database=database,
        catalogue=CatalogueReader(),
        host=open_host(settings.host_driver, settings.host_dir),
        transport=SmtpTransport(options),
        sender_domain=options.sender_domain,
        figures=figures,
    )


async def check_schema(settings: WorkerSettings, parts: Parts) -> str:
    """Return what is well with the database. Raises `CannotStart`, and what its driver raises."""
    expected = schema.expected_revision()
    present = await schema.present_revision(settings.database_url)
    if not schema.suits(present, expected):
        what_to_do = "run `changeover setup`" if (present or "") < expected else "start a newer release"
        raise CannotStart(
            f"the database has schema {present or 'none'}, this release needs {expected} or a later one of "
            f"its series; {what_to_do}"
        )
    async with parts.database.read() as connection:
        await parts.catalogue.current(connection)
    return f"schema {present} (this release needs {expected} or later), a catalogue is loaded"


async def check_keys(settings: WorkerSettings, parts: Parts) -> str:
    """Return what is well with the keys of codes. Raises `CannotStart` when one is missing."""
    async with parts.database.read() as connection:
        in_use = await changes.code_keys_in_use(connection)
    missing = {key_id: count for key_id, count in in_use.items() if key_id not in settings.code_keys}
    if missing:
        named = ", ".join(f"{key_id} ({count} open)" for key_id, count in sorted(missing.items()))
        raise CannotStart(
            f"open changes need code keys that CHANGEOVER_CODE_KEYS lacks: {named}; put them back"
        )
    used = ", ".join(sorted(in_use)) or "none"
    return f"code keys: new changes use {settings.code_key_id}, open changes need {used}"


async def check_host(settings: WorkerSettings, parts: Parts) -> str:
    """Return what is well with the host. Raises `HostError`."""
    await parts.host.check()
    return f"the {settings.host_driver} host answers"
