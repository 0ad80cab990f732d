"""The content of the files that a configuration names, for workers that may not read these files.

The parent reads each file once and sends all contents in one sealed memory file. While a worker
builds, it makes a memory file of each entry, because OpenSSL and cryptography load from paths
(`/proc/self/fd/N`).
"""

import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from certs.files.memory_file import sealed_memory_file
from config.loading.reading import FileContent, read_regular


class Material(dict[str, FileContent]):
    """File contents by path; what cannot be read is left out, and reported where it is needed."""

    @classmethod
    def read(cls, paths: Iterable[Path]) -> "Material":
        material = cls()
        for path in paths:
            try:
                material[str(path)] = read_regular(path)
            except OSError:
                continue
        return material

    @classmethod
    def of_keys(cls, contents: Mapping[Path, bytes]) -> "Material":
        """Private keys that were sealed on the disk."""
        return cls({str(path): FileContent(0o600, content) for path, content in contents.items()})

    def __repr__(self) -> str:
        """Show the paths only: the contents are secrets."""
        return f"<Material {sorted(self)}>"

    def memory_file(self) -> int:
        """Write everything to a sealed memory file. The caller closes the descriptor."""
        index = json.dumps([[path, one.mode, len(one.content)] for path, one in self.items()]).encode()
        parts = [len(index).to_bytes(8, "big"), index, *(one.content for one in self.values())]
        return sealed_memory_file("material", b"".join(parts))

    @classmethod
    def from_memory_file(cls, descriptor: int) -> "Material":
        """Read what `memory_file` wrote. The caller closes the descriptor."""
        data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        start = 8 + int.from_bytes(data[:8], "big")
        material = cls()
        for path, mode, length in json.loads(data[8:start]):
            material[path] = FileContent(mode, data[start : start + length])
            start += length
        return material

    @contextmanager
    def as_files(self) -> Iterator[Mapping[Path, Path]]:
        """Answer, for each path, another path that this process can read until the block ends."""
        descriptors: list[int] = []
        try:
            files = {}
            for path, one in self.items():
                descriptor = sealed_memory_file("file", one.content)
                descriptors.append(descriptor)
                # root has read a file that not even its owner may read, for this process to use
                os.fchmod(descriptor, one.mode | stat.S_IRUSR)
                files[Path(path)] = Path(f"/proc/self/fd/{descriptor}")
            yield files
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
