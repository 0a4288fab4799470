"""Every setting: `CHANGEOVER_*` in the environment. docs/configuration.md is held complete by a test.

Temporal's own settings (`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, TLS, a profile file) are read by
`temporalio.envconfig` and never doubled here. When neither is set, the embedded system that `./run up` keeps
in `var/` (or in `CHANGEOVER_DIR`) is used: it writes its settings to `changeover.env` there.

Every setting may also stand in a file of its own, see `changeover.secret_files`.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from changeover import secret_files
from changeover.domain.confirmation import CodePolicy
from changeover.domain.facts import Policy
from changeover.domain.retention import Retention

DIR_VARIABLE = "CHANGEOVER_DIR"
ENV_FILE = "changeover.env"
_LEAST_KEY = 32
_MOST_DAYS = 36_500


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < _LEAST_KEY:
        raise ValueError(f"a key needs at least {_LEAST_KEY} characters; `openssl rand -hex 32` makes one")
    return key


def _known_driver(url: str) -> str:
    if not url.startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://")):
        raise ValueError("begins with sqlite+aiosqlite:/// or postgresql+asyncpg://")
    return url


def _web_address(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("begins with http:// or https://")
    return url.rstrip("/")


def _host_and_port(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError("is host:port, as in 127.0.0.1:9464; port 0 takes a free one")
    return address


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # a path, a folder, nothing
        unknown = True
    else:
        unknown = False
    if unknown:
        raise ValueError(f"{name} is no IANA time zone; Europe/Paris is one")
    return name


Key = Annotated[SecretStr, AfterValidator(_long_enough)]


class Settings(BaseSettings):
    """What both sides need: the panel's way in and the worker."""

    model_config = SettingsConfigDict(
        env_prefix="CHANGEOVER_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    embedded: bool = Field(default=False, description="Set by `./run up` and `./run demo` for their parts.")
    database_url: Annotated[str, AfterValidator(_known_driver)] = Field(
        description="SQLAlchemy URL: `sqlite+aiosqlite:///...` or `postgresql+asyncpg://...`.", repr=False
    )
    database_pool: int = Field(default=10, ge=1, le=1000, description="Connections at most, PostgreSQL only.")
    proof_key: Key = Field(description="Key of the proofs of typed codes; the same on both sides.")
    proof_keys_old: tuple[Key, ...] = Field(
        default=(), description="Earlier proof keys that still count while they are replaced, as JSON list."
    )
    payload_keys: dict[str, Key] = Field(
        default={}, description="Keys by id, as JSON, under which Temporal's payloads are encrypted."
    )
    payload_key_id: str | None = Field(
        default=None, description="Which of them encrypts; none: nothing is encrypted."
    )
    task_queue: str = Field(
        default="changeover", min_length=1, description="Task queue of changes; mails use `<name>-mail`."
    )
    min_days_after: int = Field(default=1, ge=0, description="Days that a change must leave at least.")
    max_days_after: int = Field(
        default=3650, ge=1, le=365_000, description="Days that a change may leave at most."
    )
    cooldown_days: int = Field(default=30, ge=0, description="Days between two changes of a service.")
    code_ttl_minutes: int = Field(default=10, ge=1, description="Minutes that a code is valid.")
    confirmation_window_minutes: int = Field(
        default=60, ge=1, description="Minutes from the request in which a change must be confirmed."
    )
    time_zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="Europe/Paris", description="IANA zone in which customers read dates."
    )
    engine_timeout_seconds: float = Field(
        default=10, gt=0, le=60, description="Seconds to wait for Temporal before `engine-unavailable`."
    )

    log_format: Literal["json", "text"] = Field(
        default="json", description="How logs are written: `json` (an object a line) or `text`."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is logged."
    )
    tracing: bool = Field(
        default=False, description="OpenTelemetry traces, by the OTEL_* variables; needs the extra `tracing`."
    )

    panel_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None,
        description="Where browsers reach the panel; by default where the API was called, plus `/panel`.",
    )

    @model_validator(mode="after")
    def _payload_key_is_there(self) -> Self:
        if self.payload_key_id is not None and self.payload_key_id not in self.payload_keys:
            raise ValueError(f"payload_key_id is {self.payload_key_id}, which payload_keys lacks")
        return self

    @property
    def payload_secrets(self) -> dict[str, bytes]:
        return {key_id: key.get_secret_value().encode() for key_id, key in self.payload_keys.items()}

    @property
    def policy(self) -> Policy:
        return Policy(
            min_days_after=self.min_days_after,
            max_days_after=self.max_days_after,
            cooldown=timedelta(days=self.cooldown_days),
        )

    @property
    def code_policy(self) -> CodePolicy:
        return CodePolicy(
            ttl=timedelta(minutes=self.code_ttl_minutes),
            window=timedelta(minutes=self.confirmation_window_minutes),
        )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def proof_secret(self) -> bytes:
        return self.proof_key.get_secret_value().encode()

    @property
    def proof_secrets(self) -> tuple[bytes, ...]:
        """All keys under which a proof counts, the present one first."""
        return tuple(key.get_secret_value().encode() for key in (self.proof_key, *self.proof_keys_old))


class WorkerSettings(Settings):
    """What only the worker needs: the key of codes, the mail server, the hosts."""

    code_keys: dict[str, Key] = Field(
        min_length=1,
        description='Keys of codes by id, as JSON: `{"2026-11": "..."}`; old ones stay readable.',
    )
    code_key_id: str = Field(description="Which of the keys new changes use.")
    mails_per_second: float = Field(default=10, gt=0, description="Mails a second at most, all workers.")
    smtp_host: str = Field(description="Mail server.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="`starttls` (required, never optional), `tls`; `none` only embedded."
    )
    smtp_username: str | None = Field(default=None, description="Name to sign in with, if it asks for one.")
    smtp_password: SecretStr | None = Field(default=None, description="Password to sign in with.")
    smtp_ca_file: Path | None = Field(
        default=None, description="Certificates to trust, PEM; else the system's."
    )
    smtp_timeout_seconds: float = Field(default=20, gt=0, description="Seconds to wait for each answer.")
    mail_from: str = Field(description="Sender's address.")
    mail_from_name: str = Field(default="Changeover", description="Sender's name.")
    host_driver: Literal["local"] = Field(default="local", description="Where servers live.")
    host_dir: Path = Field(description="Folder of the `local` driver.")
    worker_listen: Annotated[str, AfterValidator(_host_and_port)] | None = Field(
        default=None,
        description="Where the worker answers /metrics, /livez, /readyz: `127.0.0.1:9464`; else nowhere.",
    )
    quarantine_days: int = Field(default=7, ge=0, description="Days that a released address rests.")
    worker_deployment: str | None = Field(
        default=None, min_length=1, description="Name of the Temporal worker deployment; none: unversioned."
    )
    worker_build_id: str | None = Field(
        default=None, min_length=1, description="Build id of this worker in its deployment."
    )
    reconcile_minutes: int = Field(
        default=10, ge=0, le=1440, description="Minutes between two looks of the reconciler; 0 is never."
    )
    retention_accounts_days: int = Field(
        default=0,
        ge=0,
        le=_MOST_DAYS,
        description="Days from the expiry of an account's last service until it is forgotten; 0 is never.",
    )
    retention_names_days: int = Field(
        default=0,
        ge=0,
        le=_MOST_DAYS,
        description="Days from a change's end until the names of its servers are forgotten; 0 is never.",
    )
    retention_tries_days: int = Field(
        default=30,
        ge=0,
        le=_MOST_DAYS,
        description="Days that a closed change's wrong tries are kept; 0 is for good.",
    )
    retention_findings_days: int = Field(
        default=90,
        ge=0,
        le=_MOST_DAYS,
        description="Days that findings which are over are kept; 0 is for good.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.worker_deployment is None) != (self.worker_build_id is None):
            raise ValueError("worker_deployment and worker_build_id go together: set both, or neither")
        if self.smtp_tls == "none" and not self.embedded:
            raise ValueError("smtp_tls=none sends codes in clear; use starttls or tls")
        if self.code_key_id not in self.code_keys:
            raise ValueError(f"code_key_id is {self.code_key_id}; code_keys has {', '.join(self.code_keys)}")
        return self

    @property
    def retention(self) -> Retention:
        return Retention.of_days(
            accounts=self.retention_accounts_days,
            names=self.retention_names_days,
            tries=self.retention_tries_days,
            findings=self.retention_findings_days,
        )

    def code_secret(self, key_id: str) -> bytes:
        """Return the key of codes that `key_id` names. Raises `KeyError` when it was removed."""
        return self.code_keys[key_id].get_secret_value().encode()


VARIABLES = tuple(f"CHANGEOVER_{name.upper()}" for name in WorkerSettings.model_fields)


class SettingsUnreadable(Exception):
    """The settings can't even be read; the text says why, and never what is in them."""


class EmbeddedMissing(SettingsUnreadable):
    """Nothing is set, and no embedded system runs where it would be looked for."""


def mistakes(error: ValidationError) -> list[str]:
    """Name each wrong setting by its variable or its file; never its value, which may be a key."""
    files = secret_files.files(os.environ, VARIABLES)
    told = []
    for mistake in error.errors(include_url=False, include_input=False, include_context=False):
        variable = f"CHANGEOVER_{str(mistake['loc'][0]).upper()}" if mistake["loc"] else "CHANGEOVER_"
        name = f"CHANGEOVER_{'_'.join(str(part) for part in mistake['loc']).upper()}"
        place = f" ({files[variable]})" if variable in files and variable not in os.environ else ""
        told.append(f"{name}{place}: {mistake['msg']}")
    return told


S = TypeVar("S", bound=Settings)

_SAY_NOT_WHERE = frozenset({"CHANGEOVER_LOG_FORMAT", "CHANGEOVER_LOG_LEVEL", "CHANGEOVER_TRACING"})
"""Settings that point at no system: set alone, they keep the embedded one in force."""


def embedded_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the embedded system."""
    return Path(environ.get(DIR_VARIABLE, "var"))


def load(kind: type[S]) -> S:
    """Return the settings of the environment, or of the embedded system when nothing is set.

    The embedded system's variables, Temporal's among them, go into the environment, so that everything
    in the process sees the same. Raises `SettingsUnreadable`, `EmbeddedMissing` among them, or pydantic's
    `ValidationError` for what is wrong.
    """
    elsewhere = {*VARIABLES, secret_files.VARIABLE, "TEMPORAL_ADDRESS", "TEMPORAL_PROFILE"} - _SAY_NOT_WHERE
    if elsewhere.isdisjoint(os.environ):
        file = embedded_dir() / ENV_FILE
        if not file.is_file():
            raise EmbeddedMissing(
                f"no CHANGEOVER_* setting is set and {file} is not there; "
                "start the embedded system with `./run up`, or set CHANGEOVER_DATABASE_URL and the others "
                "(docs/configuration.md)"
            )
        for line in file.read_text(encoding="utf-8").splitlines():
            name, is_setting, value = line.partition("=")
            if is_setting:
                os.environ[name] = value
    try:
        secret_files.files(os.environ, VARIABLES)  # what can't be read is named, instead of called missing
        return kind(_secrets_dir=secret_files.folder(os.environ))
    except secret_files.SecretsUnreadable as error:
        wrong = str(error)
    except SettingsError as error:
        wrong = _not_json(str(error))
    except RecursionError:
        wrong = f"a setting is nested without end; JSON is read from {', '.join(_json_variables())}"
    raise SettingsUnreadable(wrong)


def _json_variables() -> list[str]:
    """Return the settings that are read as JSON."""
    return [f"CHANGEOVER_{name.upper()}" for name in ("code_keys", "proof_keys_old", "payload_keys")]


def _not_json(told: str) -> str:
    """Name the variable that isn't the JSON it must be; pydantic-settings names our field."""
    named = [variable for variable in VARIABLES if f'"{variable[len("CHANGEOVER_") :].lower()}"' in told]
    return f"{named[0]}: it is no JSON; docs/configuration.md shows how it is written" if named else told
