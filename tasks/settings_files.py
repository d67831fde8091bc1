"""The files that settings are read from, besides the environment."""

from pathlib import Path

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


class SettingsFiles(BaseSettings):
    """Where further settings are read from; itself read from the environment alone."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True)

    config_file: Path | None = None
    secrets_dir: Path | None = None


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
        sources.append(
            SecretsSettingsSource(settings_cls, secrets_dir=files.secrets_dir, env_prefix="")
        )
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
