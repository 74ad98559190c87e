"""The few calls that reach the disk, so that a test can stand in for one that fails, fills up or is slow."""

import os
from pathlib import Path


class Disk:
    """The operating system's files."""

    def create(self, path: Path, size: int, header: bytes) -> int:
        """A new file of `size` bytes of zeros behind its header, durable with its name; its descriptor."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
        try:
            # Allocated now, so that a full disk is found here and not in the middle of a record.
            os.posix_fallocate(descriptor, 0, size)
            os.pwrite(descriptor, header, 0)
            os.fsync(descriptor)
            self.sync_folder(path.parent)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return descriptor

    def reopen(self, path: Path, cut_at: int) -> int:
        """An existing file, zeroed from `cut_at` to its end."""
        descriptor = os.open(path, os.O_RDWR)
        size = os.fstat(descriptor).st_size
        os.ftruncate(descriptor, cut_at)
        os.posix_fallocate(descriptor, 0, max(size, cut_at + 1))
        os.fsync(descriptor)
        return descriptor

    def write(self, descriptor: int, data: bytes, at: int) -> None:
        """All of the bytes, or OSError."""
        view = memoryview(data)
        while view:
            done = os.pwrite(descriptor, view, at)
            view, at = view[done:], at + done

    def flush(self, descriptor: int) -> None:
        """Make what was written durable. After a failure nothing is known of the file: never ask it again."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int, size: int | None = None) -> None:
        """Close; with `size`, give back what was preallocated behind it."""
        try:
            if size is not None:
                os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
