"""Every setting of Laneway, typed, in one place.

A value comes, first match wins, from the environment (`LANEWAY_` and the name in capitals),
from a file of the setting's name in the folder `LANEWAY_SECRETS_DIR` (as Kubernetes mounts a
Secret), from the YAML file `LANEWAY_CONFIG_FILE`, or from the default below.
"""

from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from laneway.tasks.errors import SettingsError
from laneway.tasks.settings_files import (
    BROKER_PASSWORD_PREFIX,
    ENV_PREFIX,
    BrokerPasswordFiles,
    SettingsFiles,
    file_sources,
)
from laneway.tasks.settings_urls import Access, ByName, access_to, check_redis_url, same_server

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LISTED = "`laneway settings` lists every setting and where its value comes from."

_ALIKE = 0.75
"""How like a setting a misspelt variable must be to be taken for it; 1 is the same."""

Names = Annotated[tuple[str, ...], NoDecode]
"""Comma-separated in the environment, a list in YAML."""


class Settings(BaseSettings):
    """The settings of every process; a process reads the ones it needs."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    # Broker and results
    broker_url: str = Field(
        repr=False,
        default="redis://127.0.0.1:6379/0",
        description="Redis that holds the lanes: redis://, rediss:// or "
        "sentinel://HOST:26379,HOST:26379/0?master=NAME.",
    )
    broker_username: str | None = Field(None, description="ACL user, if the URL names none.")
    broker_password: SecretStr | None = Field(
        None, description="Password, if the URL holds none. Best given as a file."
    )
    broker_ca_file: Path | None = Field(
        None, description="CA certificates for rediss://; the system's if not given."
    )
    brokers: ByName[str] = Field(
        (),
        repr=False,
        description="Further Redises, for lanes whose `broker` names one: NAME=URL, "
        "comma-separated, or a map. A URL may name the user.",
    )
    broker_passwords: ByName[SecretStr] = Field(
        (),
        description="Passwords of LANEWAY_BROKERS by name. Best given as files: "
        "broker_password_NAME in LANEWAY_SECRETS_DIR.",
    )
    result_url: str | None = Field(
        None,
        repr=False,
        description="Redis that holds states and results; the broker's if not given.",
    )
    result_username: str | None = Field(
        None, description="ACL user of the results, with LANEWAY_RESULT_PASSWORD."
    )
    result_password: SecretStr | None = Field(
        None,
        description="Password of the results. If not given, the broker's is used, but never on "
        "another host or port than the broker's.",
    )
    result_expires_s: int = Field(86_400, ge=60, description="How long a result is kept, seconds.")
    broker_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Longest wait for an answer of Redis, seconds."
    )
    broker_memory_watermark: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Share of Redis's maxmemory above which new tasks are refused.",
    )
    transport: Literal["laneway", "kombu"] = Field(
        "laneway",
        description="kombu: take messages by Celery's own Redis transport, which may lose some, to "
        "tell a fault of Laneway's from Celery's.",
    )
    pool: Literal["laneway", "celery"] = Field(
        "laneway", description="celery: run tasks in Celery's own pools, to tell faults apart."
    )
    message_limit_bytes: int = Field(
        16 * 2**20,
        ge=1_024,
        description="Largest message a worker takes; larger ones become dead letters unread.",
    )
    queues_file: Path | None = Field(
        None, description="The queue catalogue (YAML); the packaged one if not given."
    )
    task_modules: Names = Field(
        (), description="Modules with a team's own tasks, comma-separated, importable by name."
    )

    # Documents: what may be read, and how much of it
    storage_url: str = Field(
        "file:///var/lib/laneway",
        description="Where documents/ and vectors/ live: file:///path or s3://bucket/prefix.",
    )
    storage_endpoint: str | None = Field(None, description="S3 endpoint, http(s)://host:port.")
    storage_region: str = Field("us-east-1", description="S3 region.")
    storage_access_key: SecretStr | None = Field(None, description="S3 access key id.")
    storage_secret_key: SecretStr | None = Field(None, description="S3 secret access key.")
    document_roots: Names = Field(
        (),
        description="Folders and s3://bucket/prefix a document may be read from, besides the "
        "storage's own documents/.",
    )
    document_hosts: Names = Field(
        (), description="Hosts (name or name:port) an https:// document may be fetched from."
    )
    document_private_hosts: bool = Field(
        default=False,
        description="Allow document hosts that resolve to private addresses, and plain http.",
    )
    document_limit_bytes: int = Field(100 * 2**20, ge=1, description="Largest document, bytes.")
    document_unpacked_limit_bytes: int = Field(
        500 * 2**20, ge=1, description="Most bytes an archive-based document may unpack to."
    )
    chunk_chars: int = Field(1_000, ge=50, le=20_000, description="Longest chunk, characters.")
    chunk_overlap_chars: int = Field(100, ge=0, description="Overlap of two chunks, characters.")

    # Embeddings
    embedder: Literal["local", "openai"] = Field(
        "local", description="local: an ONNX model in this process; openai: a /v1/embeddings URL."
    )
    embedding_url: str | None = Field(
        None, description="Base URL of the OpenAI-compatible endpoint, up to and with /v1."
    )
    embedding_model: str = Field(
        "all-MiniLM-L6-v2", description="Model name; vectors carry it, a collection holds one."
    )
    embedding_api_key: SecretStr | None = Field(None, description="Bearer key of the endpoint.")
    embedding_dimension: int | None = Field(
        None, ge=1, description="Expected dimension; if not given, the first answer's."
    )
    embedding_timeout_s: float = Field(30.0, gt=0, description="Time-out of one call, seconds.")
    embedding_batch: int = Field(32, ge=1, le=2_048, description="Texts of one call.")
    embedding_model_dir: Path | None = Field(
        None, description="Folder with model.onnx and tokenizer.json for the local embedder."
    )

    # Mail
    smtp_host: str = Field("127.0.0.1", description="Mail server.")
    smtp_port: int = Field(25, ge=1, le=65_535, description="Port of the mail server.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls demands it; tls speaks TLS from the first byte."
    )
    smtp_ca_file: Path | None = Field(
        None, description="CA certificates for the mail server; the system's if not given."
    )
    smtp_username: str | None = Field(None, description="Login, if the server wants one.")
    smtp_password: SecretStr | None = Field(None, description="Password of the login.")
    smtp_from: str = Field("laneway@localhost", description="Sender address.")
    smtp_timeout_s: float = Field(15.0, gt=0, description="Time-out of one SMTP step, seconds.")

    # Gateway
    gateway_bind: str = Field("127.0.0.1:8080", description="host:port the gateway listens on.")
    gateway_tokens_file: Path | None = Field(
        None,
        description="YAML of hashed bearer tokens with their scopes; without it the gateway only "
        "answers on a loopback address.",
    )
    gateway_payload_limit_bytes: int = Field(
        256 * 2**10, ge=1_024, description="Largest payload of a task; larger answers 413."
    )
    gateway_bulk_limit: int = Field(1_000, ge=1, description="Most tasks of one bulk submit.")
    gateway_wait_ms: int = Field(
        default_factory=lambda given: min(2_000, int(given["broker_timeout_s"] * 500)),
        ge=1,
        description="Longest wait for a durability that a submit asked for. If not given, 2000 "
        "or half of LANEWAY_BROKER_TIMEOUT_S; at it or above, the wait would be cut off.",
    )

    # Seeing it
    metrics: bool = Field(
        True,
        description="Whether attempts and publishes are counted; without, dashboards are empty.",
    )
    health_bind: str = Field(
        "127.0.0.1:9464", description="host:port of a worker's /metrics, /livez and /readyz."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Level.")
    log_format: Literal["json", "console"] = Field("json", description="One JSON object a line.")
    otlp_endpoint: str | None = Field(
        None, description="OTLP/HTTP base URL; traces are sent when it is set."
    )
    trace_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Part of the traces that begin here and are sent; one that came with a message or "
        "a request is sent if its beginning was.",
    )
    prometheus_url: str | None = Field(
        None,
        repr=False,
        description="Prometheus that `laneway top` asks, http(s)://[USER:PASSWORD@]HOST:PORT; "
        "without it the platform on this machine.",
    )

    @field_validator("task_modules", "document_roots", "document_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("broker_url", "result_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        if value is not None:
            check_redis_url(value)
        return value

    @field_validator("brokers")
    @classmethod
    def _are_redis(cls, value: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        for name, url in value:
            check_redis_url(url, f"the URL of {name} ")
        return value

    @model_validator(mode="after")
    def _chunks_move_on(self) -> Self:
        if self.chunk_overlap_chars >= self.chunk_chars:
            raise ValueError(
                f"LANEWAY_CHUNK_OVERLAP_CHARS of {self.chunk_overlap_chars} must be below "
                f"LANEWAY_CHUNK_CHARS of {self.chunk_chars}"
            )
        return self

    @model_validator(mode="after")
    def _waits_are_not_cut_off(self) -> Self:
        if self.gateway_wait_ms >= self.broker_timeout_s * 1_000:
            raise ValueError(
                f"LANEWAY_GATEWAY_WAIT_MS of {self.gateway_wait_ms} ms must be below "
                f"LANEWAY_BROKER_TIMEOUT_S of {self.broker_timeout_s:g} s, which would cut the "
                "wait off. Lower the one or raise the other"
            )
        return self

    @model_validator(mode="after")
    def _endpoint_is_known(self) -> Self:
        if self.embedder == "openai" and not self.embedding_url:
            raise ValueError(
                "LANEWAY_EMBEDDER is openai, so LANEWAY_EMBEDDING_URL must name the endpoint, up to "
                "and with /v1"
            )
        return self

    @property
    def own_access(self) -> Access:
        """The way in to the broker that has no name, with the credentials that came separately."""
        return access_to(self.broker_url, self.broker_username, self.broker_password)

    @property
    def broker(self) -> str:
        """Its URL; see `Access`."""
        return self.own_access.url

    def broker_named(self, name: str | None) -> str | None:
        """URL of a broker; None if there is none of this name. See `broker_access`."""
        access = self.broker_access(name)
        return None if access is None else access.url

    def broker_access(self, name: str | None) -> Access | None:
        """The way in to a broker of LANEWAY_BROKERS; None if there is none of it.

        Without a name, to the broker that has none.
        """
        if name is None:
            return self.own_access
        url = dict(self.brokers).get(name)
        return None if url is None else access_to(url, None, dict(self.broker_passwords).get(name))

    @property
    def result_access(self) -> Access:
        """The way in to the results, by the broker's credentials on its server only."""
        url = self.result_url or self.broker_url
        if self.result_password is None and same_server(url, self.broker_url):
            return access_to(url, self.broker_username, self.broker_password)
        return access_to(url, self.result_username, self.result_password)

    @property
    def results(self) -> str:
        """Result URL with the credentials that came separately; see `Access`."""
        return self.result_access.url

    @classmethod
    def settings_customise_sources(  # noqa: D102 - pydantic-settings' hook
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, *file_sources(settings_cls))


def load_settings(**overrides: Any) -> Settings:
    """Read the settings anew; `overrides` win over every source.

    Raises:
        SettingsError: a value cannot be used; the message names each one.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [
            ": ".join(filter(None, (_variable(problem["loc"]), problem["msg"], _meaning(problem))))
            for problem in error.errors(include_input=False, include_url=False)
            if problem["type"] != "default_factory_not_called"  # follows from another's error
        ]
        raise SettingsError("\n  ".join(["Settings cannot be used:", *lines])) from None


def _meaning(problem: "ErrorDetails") -> str:
    """What the setting is for, as the list of settings would say, were it to be had."""
    field = Settings.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    return f"({field.description})" if field is not None else ""


def _variable(location: tuple[int | str, ...]) -> str:
    return ENV_PREFIX + "_".join(map(str, location)).upper() if location else ""


@lru_cache(maxsize=1)
def current_settings() -> Settings:
    """The settings of this process, read once."""
    return load_settings()


def setting_sources() -> dict[str, str]:
    """Where each setting's value comes from: environment, file PATH, or default."""
    origin = dict.fromkeys(Settings.model_fields, "default")
    for source in reversed([EnvSettingsSource(Settings), *file_sources(Settings)]):
        origin.update({name: _place(source, name) for name in source()})
    return origin


def unknown_variables() -> dict[str, str]:
    """The LANEWAY_ variables of the environment that set nothing, each with its cure.

    What Kubernetes sets for a Service named laneway… is left out.
    """
    prefix = ENV_PREFIX.lower()
    given = EnvSettingsSource(Settings).env_vars
    known = [*Settings.model_fields, *SettingsFiles.model_fields]
    services = [n.removesuffix("_service_host") for n in given if n.endswith("_service_host")]
    links = tuple(f"{service}_{kind}_" for service in services for kind in ("service", "port"))
    return {
        name.upper(): _cure(get_close_matches(name.removeprefix(prefix), known, 2, _ALIKE))
        for name in sorted(given)
        if name.startswith(prefix)
        and name.removeprefix(prefix) not in known
        and not f"{name}_".startswith(links)
    }


def _cure(meant: list[str]) -> str:
    if not meant:
        return f"Remove it. {LISTED}"
    return f"Did you mean {' or '.join(ENV_PREFIX + name.upper() for name in meant)}?"


def _place(source: PydanticBaseSettingsSource, name: str) -> str:
    files = SettingsFiles()
    if isinstance(source, BrokerPasswordFiles) and files.secrets_dir is not None:
        return f"files {files.secrets_dir / BROKER_PASSWORD_PREFIX}*"
    if isinstance(source, SecretsSettingsSource) and files.secrets_dir is not None:
        return f"file {files.secrets_dir / name}"
    if isinstance(source, YamlConfigSettingsSource):
        return f"file {files.config_file}"
    return f"environment {ENV_PREFIX}{name.upper()}"
