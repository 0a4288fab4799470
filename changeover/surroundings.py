"""What only a worker can look at: its keys, its host, its mail server. `worker.py --check` says it."""

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from changeover import secret_files
from changeover.adapters import CannotStart, Parts, build_parts, check_keys
from changeover.diagnosis import Check, Verdict, examine, ok, warning, wrong
from changeover.hosts import HostError, open_host
from changeover.mail import (
    InvalidRecipient,
    MailDeferred,
    MailError,
    OutgoingMail,
    TrialMail,
    message_id,
    render,
)
from changeover.settings import ENV_FILE, VARIABLES, WorkerSettings, embedded_dir

LEAST_FREE_BYTES: Final = 2**30
LEAST_FREE_SHARE: Final = 0.05
CERTIFICATE_DAYS: Final = 14
_OTHERS: Final = stat.S_IROTH | stat.S_IWOTH

_MAIL_ADVICE: Final = {
    "certificates": "make CHANGEOVER_SMTP_CA_FILE a file of PEM certificates that the worker may read",
    "connect": "is CHANGEOVER_SMTP_HOST right, CHANGEOVER_SMTP_PORT that of CHANGEOVER_SMTP_TLS, and open to "
    "us?",
    "ehlo": "look into the mail server's log: it refuses to talk to this machine",
    "starttls": "use a port that offers STARTTLS with a valid certificate, or CHANGEOVER_SMTP_TLS=tls (port "
    "465); a private authority goes into CHANGEOVER_SMTP_CA_FILE",
    "auth": "check CHANGEOVER_SMTP_USERNAME and CHANGEOVER_SMTP_PASSWORD",
    "sender": "let the mail server take CHANGEOVER_MAIL_FROM from this account",
    "recipient": "the mail server doesn't take this recipient: try another, or look into its log",
    "data": "the mail server doesn't take the mail: look into its log",
}


class Surroundings:
    """Looks at what a worker with these settings would work with. `now` is our own clock."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        send_to: str | None = None,
        language: str = "en",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._send_to = send_to
        self._language = language
        self._now = now

    def checks(self) -> list[Check]:
        """Return the checks, to be examined."""
        return [
            Check(name="keys", look=self.keys, silent="mend the database first: it says which keys are used"),
            Check(name="host", look=self.host, silent="is the host reachable, the folder's disk mounted?"),
            Check(name="mail", look=self.mail, silent=_MAIL_ADVICE["connect"]),
        ]

    def _parts(self) -> Parts:
        return build_parts(self._settings)

    async def keys(self) -> Verdict:
        parts = self._parts()
        try:
            told = await check_keys(self._settings, parts)
        except CannotStart as missing:
            return wrong(str(missing), "put the key back, or wait until no change that it made is open")
        finally:
            await parts.database.close()
        exposed = [str(file) for file in _exposed_files()]
        if exposed:
            return warning(
                f"{told}; everybody on this machine may read {', '.join(exposed)}",
                f"chmod o= {' '.join(exposed)}",
            )
        return ok(told)

    async def host(self) -> Verdict:
        settings = self._settings
        try:
            await open_host(settings.host_driver, settings.host_dir).check()
        except HostError as error:
            return wrong(str(error), "mend the host, or set CHANGEOVER_HOST_DIR right; it must be writable")
        if settings.host_driver != "local":
            return ok(f"the {settings.host_driver} host answers")
        return _room(settings.host_dir)

    async def mail(self) -> Verdict:
        settings = self._settings
        try:
            parts = self._parts()
        except CannotStart as error:
            return wrong(str(error), "mend the CHANGEOVER_SMTP_* and CHANGEOVER_MAIL_* settings")
        try:
            ends_at = await parts.transport.check()
            if self._send_to is not None:
                await parts.transport.send(self._trial(self._send_to, parts.sender_domain))
        except InvalidRecipient as error:
            return wrong(str(error), "give --send-to one plain address")
        except MailError as error:
            later = " (it may be only for now: try again)" if isinstance(error, MailDeferred) else ""
            return wrong(str(error), _MAIL_ADVICE[error.stage] + later)
        finally:
            await parts.database.close()
        signed_in = "takes our sign-in" if settings.smtp_username else "answers, without a sign-in"
        said = f"{settings.smtp_host}:{settings.smtp_port} {signed_in} ({settings.smtp_tls})"
        if self._send_to is not None:
            said += "; it took the test mail"
        return self._certificate(said, ends_at)

    def _certificate(self, said: str, ends_at: datetime | None) -> Verdict:
        if ends_at is None:
            return ok(said)
        days = (ends_at - self._now()).days
        said += f"; its certificate is valid for {days} more days"
        if days < CERTIFICATE_DAYS:
            return warning(said, f"have it renewed before {ends_at:%Y-%m-%d}: then no mail leaves any more")
        return ok(said)

    def _trial(self, recipient: str, domain: str) -> OutgoingMail:
        rendered = render(TrialMail(at=self._now()), self._language, self._settings.time_zone)
        return OutgoingMail(
            recipient=recipient,
            subject=rendered.subject,
            text=rendered.text,
            html=rendered.html,
            message_id=message_id(str(uuid4()), "trial", domain),
            language=rendered.language,
        )


def _exposed_files() -> list[Path]:
    """Return the files with secrets that others than owner and group may read."""
    exposed = secret_files.open_to_others(os.environ, VARIABLES)
    embedded = embedded_dir() / ENV_FILE
    if embedded.is_file() and embedded.stat().st_mode & _OTHERS:
        exposed.append(embedded)
    return exposed


def _room(folder: Path) -> Verdict:
    usage = shutil.disk_usage(folder)
    share = usage.free / usage.total if usage.total else 0
    said = f"{folder} is writable, {usage.free / 2**30:.1f} GiB are free ({share:.0%})"
    if usage.free < LEAST_FREE_BYTES or share < LEAST_FREE_SHARE:
        return warning(said, "make room: new servers, and the notes of a teardown, need some")
    return ok(said)


async def report(surroundings: Surroundings) -> bool:
    """Print each finding as one line of JSON; say whether nothing is wrong."""
    findings = await examine(surroundings.checks())
    for finding in findings:
        sys.stdout.write(json.dumps(finding.record) + "\n")
    sys.stdout.flush()
    return not any(finding.is_wrong for finding in findings)
