"""The files that settings are read from, besides the environment."""

from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from yaml import YAMLError

from laneway.tasks.errors import SettingsError

ENV_PREFIX = "LANEWAY_"

BROKER_PASSWORD_PREFIX = "broker_password_"  # noqa: S105 - the beginning of a file's name
"""What a file in the secrets folder begins with that holds the password of a broker by name."""


REDIS_PASSWORDS = ("broker_password", "result_password")
"""Settings whose file may be changed under a running process."""


class SettingsFiles(BaseSettings):
    """Where further settings are read from; itself read from the environment alone."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True)

    config_file: Path | None = None
    secrets_dir: Path | None = None


class PasswordFile(SecretStr):
    """A password as it was read from a file, and the file, which may hold another one by now."""

    def __init__(self, secret_value: str, file: Path) -> None:
        super().__init__(secret_value)
        self.file = file.absolute()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PasswordFile) and self._both() == other._both()

    def __hash__(self) -> int:
        return hash(self._both())

    def _both(self) -> tuple[str, Path]:
        return self.get_secret_value(), self.file


def read_password(file: Path) -> str:
    """What a file holds at this moment, without the space around it."""
    return file.read_text("utf-8").strip()


class SecretFiles(SecretsSettingsSource):
    """A file for each setting; passwords of Redis remember theirs."""

    def __init__(self, settings_cls: type[BaseSettings], folder: Path) -> None:
        super().__init__(settings_cls, secrets_dir=folder, env_prefix="")
        self._folder = folder

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """As pydantic-settings reads it."""
        value, key, is_complex = super().get_field_value(field, field_name)
        if value is not None and field_name in REDIS_PASSWORDS:
            file = self.find_case_path(self._folder, field_name, self.case_sensitive)
            value = PasswordFile(value, file or self._folder / field_name)
        return value, key, is_complex


class BrokerPasswordFiles(PydanticBaseSettingsSource):
    """The passwords of brokers, a file each, so that each may come from a Secret of its own."""

    def __init__(self, settings_cls: type[BaseSettings], folder: Path) -> None:
        super().__init__(settings_cls)
        self._folder = folder

    def __call__(self) -> dict[str, Any]:
        """The field `broker_passwords`, if there are such files."""
        found = {
            file.name.removeprefix(BROKER_PASSWORD_PREFIX): PasswordFile(read_password(file), file)
            for file in sorted(self._folder.glob(f"{BROKER_PASSWORD_PREFIX}?*"))
            if file.is_file()
        }
        return {"broker_passwords": found} if found else {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: the files are no fields of their own."""
        del field
        return None, field_name, False


def file_sources(settings_cls: type[BaseSettings]) -> list[PydanticBaseSettingsSource]:
    """The files named in the environment, as sources; the first wins.

    Raises:
        SettingsError: one of them is missing or cannot be read; the message says the cure.
    """
    files = SettingsFiles()
    sources: list[PydanticBaseSettingsSource] = []
    if files.secrets_dir is not None:
        if not files.secrets_dir.is_dir():
            raise SettingsError(
                f"LANEWAY_SECRETS_DIR: {files.secrets_dir} is no folder. "
                "Mount the Secret there, or unset the variable."
            )
        sources += [
            SecretFiles(settings_cls, files.secrets_dir),
            BrokerPasswordFiles(settings_cls, files.secrets_dir),
        ]
    if files.config_file is not None:
        if not files.config_file.is_file():
            raise SettingsError(
                f"LANEWAY_CONFIG_FILE: {files.config_file} is no file. "
                "Put it there, or unset the variable."
            )
        try:
            sources.append(YamlConfigSettingsSource(settings_cls, yaml_file=files.config_file))
        except (YAMLError, ValueError, TypeError) as error:
            raise SettingsError(
                f"LANEWAY_CONFIG_FILE: {files.config_file} is no YAML map of settings ({error}). "
                "Write one setting a line, such as `broker_url: redis://redis:6379/0`."
            ) from None
    return sources
