"""A password of Redis that lies in a file, read anew for each connection.

Kubernetes swaps the files of a Secret under a running process, so that what was read at the start is
refused after a while. Connections that are there stay logged in.
"""

from contextlib import suppress
from functools import lru_cache

from redis.credentials import CredentialProvider

from laneway.tasks.settings_files import PasswordFile, read_password
from laneway.tasks.settings_urls import Access


class FileCredentials(CredentialProvider):
    """Who logs in, and what the file of the password holds at that moment."""

    def __init__(self, username: str | None, password: PasswordFile) -> None:
        self.username = username
        self._file = password.file
        self._known = password.get_secret_value()

    def get_credentials(self) -> tuple[str, ...]:  # type: ignore[override]
        """For the next connection; what was known before while there is nothing to be read."""
        # Redis has the last word: an old password is refused, and the next try reads again.
        with suppress(OSError, ValueError):
            self._known = read_password(self._file) or self._known
        if self.username:
            return self.username, self._known
        return (self._known,) if self._known else ()

    async def get_credentials_async(self) -> tuple[str, ...]:  # type: ignore[override]
        """The same for an event loop, which a file of a few bytes does not hold up."""
        return self.get_credentials()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.username!r}, {str(self._file)!r})"

    def __json__(self) -> str:
        """What `inspect stats` shows of it among the transport's options."""
        return repr(self)


@lru_cache(maxsize=64)
def credentials_of(access: Access) -> FileCredentials | None:
    """Who logs in by a file, the same for all that go there; None where the URL says who does."""
    if access.password is None:
        return None
    return FileCredentials(access.username, access.password)
