# ruff: noqa: PTH100, PTH112, PTH115, PTH120  (pathlib makes the very calls that are wrapped here)
"""Kills this process at a chosen point of what it does to files, by wrapping calls to the system.

A point lies before, after and, for what writes bytes, in the middle of each call that changes a file
below a folder. A power cut also undoes what was not flushed by then: contents of files, and names
that were given, changed or removed.
"""

import builtins
import fcntl
import io
import os
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

Mode = Literal["kill", "power cut"]

_open = io.open
_os: dict[str, Callable[..., Any]] = {
    name: getattr(os, name)
    for name in ("open", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "fsync")
}
_flock = fcntl.flock


class Faults:
    """What a process has done to the files below `root`, and where it dies."""

    def __init__(self, root: Path, at: int, mode: Mode, trace: int, backups: Path) -> None:
        """`at`: the number of the point to die at, from 1; `trace`: a descriptor for its name."""
        self.root, self.at, self.mode, self.trace = str(root), at, mode, trace
        self.backups = backups
        self.process = 0
        self.count = 0
        self.unflushed: set[int] = set()
        self.undo: list[tuple[str, Callable[[], None]]] = []

    def install(self) -> None:
        """For good, in a process made for it; those that it makes in turn are left alone."""
        self.process = os.getpid()
        io.open = builtins.open = self._opened  # type: ignore[assignment]
        for name in ("replace", "rename"):
            setattr(os, name, self._renaming(name))
        for name in ("unlink", "remove", "rmdir"):
            setattr(os, name, self._removing(name))
        os.mkdir, os.fsync, os.open = self._mkdir, self._fsync, self._os_open
        fcntl.flock = self._lock

    def point(self, what: str) -> None:
        if self.due(what):
            self.die()

    def due(self, what: str) -> bool:
        self.count += 1
        os.write(self.trace, f"{what}\n".encode())
        return self.count == self.at

    def die(self) -> None:
        if self.mode == "power cut":
            self._lose()
        os.kill(os.getpid(), signal.SIGKILL)

    def concerns(self, path: Any) -> bool:
        own = os.getpid() == self.process and isinstance(path, str | os.PathLike)
        return own and os.path.abspath(path).startswith(self.root)

    def _lose(self) -> None:
        for _, undo in reversed(self.undo):
            undo()
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = f"{folder}/{name}"
                if os.lstat(path).st_ino in self.unflushed:
                    os.truncate(path, 0)

    def _kept(self, path: str) -> str | None:
        """The file at `path` under a second name, out of reach; None where none will be needed."""
        if self.mode == "kill" or not os.path.lexists(path):
            return None
        backup = f"{self.backups}/{os.getpid()}-{self.count}"
        os.link(path, backup)
        return backup

    def _opened(
        self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any
    ) -> Any:
        nameless = os.path.isdir(file)  # TemporaryFile's, which no death leaves
        if nameless or not (set(mode) & set("wxa+") and self.concerns(file)):
            return _open(file, mode, buffering, *rest, **more)
        self.point(f"before opening {file}")
        new = not os.path.lexists(file)
        raw = _File(str(file), mode.replace("b", "").replace("t", ""), self)
        if new or "w" in mode:
            self.unflushed.add(os.fstat(raw.fileno()).st_ino)
        if new:
            self.undo.append((os.path.dirname(os.path.abspath(file)), _remover(str(file))))
        self.point(f"after opening {file}")
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **more)

    def _os_open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if not (flags & os.O_CREAT and self.concerns(path)):
            return int(_os["open"](path, flags, *rest, **more))
        self.point(f"before creating {path}")
        descriptor = int(_os["open"](path, flags, *rest, **more))
        self.point(f"after creating {path}")
        return descriptor

    def _lock(self, file: Any, operation: int) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        if not (operation & fcntl.LOCK_EX and self.concerns(place)):
            return _flock(file, operation)
        self.point(f"before locking {place}")
        _flock(file, operation)
        self.point(f"after locking {place}")

    def _renaming(self, name: str) -> Callable[..., None]:
        def renaming(source: Any, target: Any, **more: Any) -> None:
            if not self.concerns(target):
                return _os[name](source, target, **more)
            self.point(f"before renaming to {target}")
            backup = None if os.path.isdir(source) else self._kept(str(target))
            _os[name](source, target, **more)
            folder = os.path.dirname(os.path.abspath(target))
            self.undo.append((folder, _back(str(source), str(target), backup)))
            self.point(f"after renaming to {target}")

        return renaming

    def _removing(self, name: str) -> Callable[..., None]:
        def removing(path: Any, **more: Any) -> None:
            if not self.concerns(path) or more.get("dir_fd") is not None:
                return _os[name](path, **more)
            self.point(f"before removing {path}")
            backup = self._kept(str(path)) if name != "rmdir" else None
            _os[name](path, **more)
            if backup:
                folder = os.path.dirname(os.path.abspath(path))
                self.undo.append((folder, lambda: _os["rename"](backup, path)))
            self.point(f"after removing {path}")

        return removing

    def _mkdir(self, path: Any, *rest: Any, **more: Any) -> None:
        if not self.concerns(path):
            return _os["mkdir"](path, *rest, **more)
        self.point(f"before making {path}")
        _os["mkdir"](path, *rest, **more)
        parent = os.path.dirname(os.path.abspath(path))
        self.undo.append((parent, lambda: shutil.rmtree(path, ignore_errors=True)))
        self.point(f"after making {path}")

    def _fsync(self, file: Any) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        if not self.concerns(place):
            return _os["fsync"](file)
        self.point(f"before flushing {place}")
        _os["fsync"](file)
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            self.undo = [(folder, undo) for folder, undo in self.undo if folder != place]
        self.unflushed.discard(about.st_ino)
        self.point(f"after flushing {place}")


class _File(io.FileIO):
    """A file whose every write may be the last, whole or by half."""

    def __init__(self, path: str, mode: str, faults: Faults) -> None:
        super().__init__(path, mode)
        self.faults = faults

    def write(self, data: Any) -> int:
        faults, view = self.faults, memoryview(data).cast("B")
        faults.point(f"before writing {self.name}")
        faults.unflushed.add(os.fstat(self.fileno()).st_ino)
        if faults.due(f"amid writing {self.name}"):
            super().write(view[: len(view) // 2])
            faults.die()
        written = super().write(view)
        faults.point(f"after writing {self.name}")
        return written


def _remover(path: str) -> Callable[[], None]:
    def remove() -> None:
        if os.path.lexists(path):
            _os["unlink"](path)

    return remove


def _back(source: str, target: str, backup: str | None) -> Callable[[], None]:
    def back() -> None:
        _os["rename"](target, source)
        if backup:
            _os["rename"](backup, target)

    return back
