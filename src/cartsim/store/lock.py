"""Why: two processes on one folder would each count the other's blocks as missing, and write two manifests. One writer
a folder, or several shards that know of each other.

On a local disk the operating system keeps the lock and frees it whatever kills the holder. An object store has no
locks: there the holder puts an object and touches it every quarter of a minute; one that was not touched for a minute
is nobody's. Of two who come at the same moment none gets in, and both try again.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cartsim.errors import CartsimError, Unreachable
from cartsim.store.disk import plain_words
from cartsim.store.place import LOCKS, Place

try:
    import fcntl
except ImportError:  # no such locks on Windows: the objects do there as well
    fcntl = None  # type: ignore[assignment]

#: Seconds between two touches of a lock object, and after which it counts as left behind.
BEAT_S, STALE_S = 15.0, 60.0
#: How often somebody who met another at the door tries again.
_TRIES = 4
#: Seconds within which two came at the same moment.
_AT_THE_DOOR_S = 2.0
_CLOCK = "clock"
SHARD = "shard-"


class Held:
    """A lock that is held. `lost` turns True if somebody took it over (after a pause of more than a minute)."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.lost = False

    def check(self) -> None:
        """Raise `Unreachable` if the lock was lost; to be asked before a manifest is written."""
        if self.lost:
            raise Unreachable(
                "another process has taken over the output folder", None,
                "this one was stopped for more than a minute", "look at the run with `cartsim status`",
            )  # fmt: skip


@contextmanager
def hold(place: Place, who: str = "run") -> Iterator[Held]:
    """Hold a place while something is written there; the folder is made, and removed again if it stays empty.

    `who` that begins with "shard-" lets other shards in, but not the same one twice; "run", "merge", "compact" and
    every other name exclude everybody. Who is alone also removes what killed writers left. Raises `Unreachable` when
    somebody else is writing there, or nothing can be written.
    """
    if place.local is not None and fcntl is not None:
        lock = _held_by_system(place, place.local, who)
    else:
        lock = _held_by_object(place, who)
    with lock as held:
        if not who.startswith(SHARD):
            place.sweep()
        yield held


@contextmanager
def _held_by_system(place: Place, folder: Path, who: str) -> Iterator[Held]:
    with plain_words("make the output folder", place.text):
        folder.mkdir(parents=True, exist_ok=True)
    shared = who.startswith(SHARD)
    files: list[tuple[Path, int]] = []
    try:
        # the door is shared by shards and closed by everybody else; a shard closes a room of its own
        for path, alone in [(folder / LOCKS, not shared), (folder / f"{LOCKS}-{who}", True)][: 1 + shared]:
            files.append((path, _flock(path, alone, place)))
            # who it is helps whom we keep out; on a full disk they do without
            with suppress(OSError):
                os.ftruncate(files[-1][1], 0)
                os.pwrite(files[-1][1], _card(who) if alone else b"", 0)
        yield Held(who)
    finally:
        for path, file in reversed(files):
            with suppress(OSError):
                # only the last of several shards removes the file they share
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            os.close(file)
        with suppress(OSError):
            folder.rmdir()


def _flock(path: Path, alone: bool, place: Place) -> int:
    patience = _TRIES
    while True:
        with plain_words("lock the output folder", place.text):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                with suppress(FileNotFoundError):
                    # its last holder may have removed the file between opening and locking
                    if os.path.samestat(os.fstat(file), os.stat(path)):
                        return file
            except BlockingIOError:
                holder = os.pread(file, 200, 0)
                os.close(file)
                patience -= 1
                if not patience:
                    raise _taken(place, holder) from None
                # a shard that leaves holds the door alone for a moment
                time.sleep(0.05)
                continue
            except BaseException:
                os.close(file)
                raise
        os.close(file)


@contextmanager
def _held_by_object(place: Place, who: str) -> Iterator[Held]:
    name = f"{LOCKS}/{who}.{os.urandom(6).hex()}"
    body = _card(who)
    for attempt in range(_TRIES):
        before = _others(place, name, who)
        if not before:
            place.write_bytes(name, body)
            if not (before := _others(place, name, who)):
                break
            place.delete(name)
        if attempt == _TRIES - 1 or max(before.values()) > _AT_THE_DOOR_S:
            raise _taken(place, place.find(next(iter(before))))
        time.sleep(0.2 + os.urandom(1)[0] / 256)
    held, over = Held(who), threading.Event()
    beat = threading.Thread(target=_touch, args=(place, name, body, held, over), name="lock", daemon=True)
    beat.start()
    try:
        yield held
    finally:
        over.set()
        beat.join(timeout=30)
        with suppress(CartsimError):
            place.delete(name)


def _touch(place: Place, name: str, body: bytes, held: Held, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        try:
            if place.size(name) is None:
                held.lost = True
                return
            place.write_bytes(name, body)
        except CartsimError:
            # a store that is away for a moment: the next beat will do
            continue


def _others(place: Place, own: str, who: str) -> dict[str, float]:
    """{name: age in seconds by the store's clock} of live locks that exclude `who`; dead ones are removed."""
    found = {name: at for name, (_, at) in place.listing(LOCKS).items() if name.startswith(f"{LOCKS}/")}
    now = found.get(own) or _now(place, found)
    others = {}
    for name, at in found.items():
        other = name.removeprefix(f"{LOCKS}/").rpartition(".")[0]
        together = who.startswith(SHARD) and other.startswith(SHARD) and other != who
        if now - at > STALE_S:
            place.delete(name)
        elif name != own and other != _CLOCK and not together:
            others[name] = now - at
    return others


def _now(place: Place, found: dict[str, float]) -> float:
    """The store's time: clocks of two machines may differ by more than a lock lives."""
    if not found:
        return 0.0
    trial = f"{LOCKS}/{_CLOCK}.{os.urandom(4).hex()}"
    place.write_bytes(trial, b"")
    try:
        return place.listing(LOCKS)[trial][1]
    finally:
        place.delete(trial)


def _card(who: str) -> bytes:
    return json.dumps({"who": who, "process": os.getpid()}).encode()


def _taken(place: Place, holder: bytes | None) -> Unreachable:
    try:
        said: dict[str, Any] = json.loads(holder or b"")
        by = f"`{said['who']}`, process {said['process']}, is writing there"
    except (ValueError, KeyError, TypeError):
        by = "another process, or a shard of the run, is writing there"
    return Unreachable(
        "the output folder is in use",
        place.text,
        by,
        "wait until it is done, or choose another folder with --out",
    )
