"""One platform a folder: two Redis on one append-only file would lose accepted work."""

import fcntl
import os
from pathlib import Path
from typing import TextIO

from laneway.services.local.processes import StartFailed


def lock_folder(folder: Path) -> TextIO:
    """Take a folder for this process and those that inherit the file; closing it gives it back.

    The kernel gives it back when all of them have ended, however they ended.

    Raises:
        StartFailed: another platform has it, or it cannot be locked.
    """
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        if isinstance(error, BlockingIOError):
            raise StartFailed(_taken(folder, holder)) from None
        raise StartFailed(
            f"{folder} cannot be locked ({error.strerror}). Choose a local disk: --data OTHER"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _taken(folder: Path, holder: str) -> str:
    return (
        f"The platform with process id {holder or 'unknown'} uses {folder}, and two would lose "
        "work there. Stop that one first (what a killed one leaves behind ends by itself within "
        "moments), or run this one elsewhere: --data OTHER"
    )
