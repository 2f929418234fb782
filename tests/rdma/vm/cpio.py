"""Writes the archive format ("newc") that Linux unpacks as its first file system."""


class Archive:
    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._entries = 0

    def folder(self, name: str) -> None:
        self._entry(name, 0o040755, b"")

    def file(self, name: str, content: bytes, mode: int) -> None:
        self._entry(name, 0o100000 | mode, content)

    def bytes(self) -> bytes:
        """The whole archive; archives may be laid one after the other."""
        trailer = Archive()
        trailer._entry("TRAILER!!!", 0, b"")
        return b"".join(self._parts + trailer._parts)

    def _entry(self, name: str, mode: int, content: bytes) -> None:
        self._entries += 1
        encoded = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device major and minor, the same of the
        # device that a node stands for, length of the name, checksum (unused).
        fields = (self._entries, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        for part in (header + encoded, content):
            self._parts.append(part + b"\0" * (-len(part) % 4))
