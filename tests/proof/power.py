"""What a disk may hold after a power cut in the middle of a run, made from the log of its calls.

Of each file the disk holds what stood there at its last sync for certain, and what was written
since wholly, in part, not at all, or as NUL bytes. Of each folder it holds the names of its last
sync, and of what was made, moved or removed since any part: only a sync keeps an order.
"""

import os
from pathlib import Path


class File:
    """One file: its bytes now, and those that are on the disk for certain."""

    def __init__(self, data=b"", *, safe=True):
        self.now = bytearray(data)
        self.safe = bytes(data) if safe else b""

    def after_cut(self, chance):
        """Its bytes as a power cut may leave them."""
        now, safe = bytes(self.now), self.safe
        way = chance.choice(("safe", "now", "cut", "nul", "half nul"))
        if way == "safe" or not now.startswith(safe):
            return chance.choice((safe, now)) if way != "safe" else safe
        rest = now[len(safe) :]
        at = chance.randint(0, len(rest))
        ways = {"now": rest, "cut": rest[:at], "nul": bytes(len(rest))}
        return safe + ways.get(way, rest[:at] + bytes(len(rest) - at))


class Disk:
    """Plays a log, call by call."""

    def __init__(self, files):
        self.names = {str(path): File(data) for path, data in files.items()}
        self.safe = dict(self.names)
        self.changes = []  # of names since the last sync of their folder
        self.open = {}
        self.places = {}
        self.tokens = {}

    def play(self, call):
        getattr(self, f"_{call[0]}")(*call[1:])

    def _open(self, fd, path, flags):
        self.open[fd], self.places[fd] = path, 0
        if flags & os.O_DIRECTORY or (path not in self.names and not flags & os.O_CREAT):
            return
        if path not in self.names:
            self.names[path] = File(safe=False)
            self._change(path, self.names[path])
        file = self.open[fd] = self.names[path]
        if flags & os.O_TRUNC:
            file.now.clear()
        self.places[fd] = None if flags & os.O_APPEND else 0

    def _write(self, fd, data):
        file = self.open[fd]
        place = len(file.now) if self.places[fd] is None else self.places[fd]
        file.now[place : place + len(data)] = data
        if self.places[fd] is not None:
            self.places[fd] += len(data)

    def _pwrite(self, fd, data, place):
        file = self.open[fd]
        file.now.extend(bytes(max(0, place - len(file.now))))
        file.now[place : place + len(data)] = data

    def _truncate(self, fd, size):
        now = self.open[fd].now
        now.extend(bytes(max(0, size - len(now))))
        del now[size:]

    def _change(self, path, file):
        self.changes.append((path, file))

    def _rename(self, old, new):
        self.names[new] = self.names.pop(old)
        self.changes.append((old, None, new, self.names[new]))

    def _link(self, old, new):
        self.names[new] = self.names[old]
        self._change(new, self.names[new])

    def _unlink(self, path):
        self.names.pop(path, None)
        self._change(path, None)

    def _sync(self, fd, token):
        held = self.open[fd]
        self.tokens[token] = (
            held,
            bytes(held.now) if isinstance(held, File) else len(self.changes),
        )

    def _synced(self, token):
        held, what = self.tokens.pop(token)
        if isinstance(held, File):
            held.safe = what
            return
        here = [each for each in self.changes[:what] if str(Path(each[0]).parent) == held]
        for change in here:
            apply(self.safe, change)
            self.changes.remove(change)

    def certain(self, path):
        """The bytes at a path that no power cut can take any more."""
        file = self.safe.get(str(path))
        return file.safe if file else b""

    def after_cut(self, chance):
        """The files as a power cut may leave them, by path."""
        names = dict(self.safe)
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        for change in self.changes:
            if chance.random() < share:
                apply(names, change)
        left = {id(file): file.after_cut(chance) for file in names.values()}
        return {Path(path): left[id(file)] for path, file in names.items()}


def apply(names, change):
    """Make one change of names: (path, file) or, for a move, (old, None, new, file)."""
    for path, file in zip(change[::2], change[1::2], strict=True):
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file
