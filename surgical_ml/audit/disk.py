"""The few calls that reach the disk, so that a test can stand in for one that fails, fills up or is slow."""

import os
from pathlib import Path


class Disk:
    """The operating system's files."""

    def make_folder(self, folder: Path) -> None:
        """A folder and those above it, each durable with its name; nothing where it is there already."""
        if not folder.is_dir():
            self.make_folder(folder.parent)
            self.add_folder(folder)
            self.sync_folder(folder.parent)

    def add_folder(self, folder: Path) -> None:
        """One folder, if it is not there."""
        folder.mkdir(exist_ok=True)

    def create(self, path: Path, size: int, header: bytes) -> int:
        """A new file of `size` bytes of zeros behind its header, durable with its name; its descriptor.

        It is made under another name first: whatever is called `path` has a header, even after a power cut.
        """
        aside = path.with_suffix(".new")
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            # Allocated now, so that a full disk is found here and not in the middle of a record.
            os.posix_fallocate(descriptor, 0, size)
            self.write(descriptor, header, 0)
            os.fsync(descriptor)
            self.rename(aside, path)
            self.sync_folder(path.parent)
        except OSError:
            os.close(descriptor)
            self.remove(aside)
            self.remove(path)
            raise
        return descriptor

    def reopen(self, path: Path, cut_at: int, size: int) -> int:
        """An existing file, cut off at `cut_at` and filled up with zeros to `size` bytes, if that is more."""
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.ftruncate(descriptor, cut_at)
            # What is read may be in memory only, and count as written, if a flush has failed before: write it once more.
            self.write(descriptor, os.pread(descriptor, cut_at, 0), 0)
            os.posix_fallocate(descriptor, 0, max(size, cut_at))
            os.fsync(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, descriptor: int, data: bytes, at: int) -> None:
        """All of the bytes, or OSError."""
        view = memoryview(data)
        while view:
            done = os.pwrite(descriptor, view, at)
            view, at = view[done:], at + done

    def put(self, path: Path, data: bytes, aside: Path) -> None:
        """A whole file under its name, in place of any that was there; the name is durable once its folder is synced.

        It is written to `aside`, on the same file system, and renamed: whatever is called `path` is whole.
        """
        self.make_folder(path.parent)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            self.write(descriptor, data, 0)
            # A flush that fails is asked for only once: the next attempt begins a new file.
            os.fsync(descriptor)
        except OSError:
            self.remove(aside)
            raise
        finally:
            os.close(descriptor)
        self.rename(aside, path)

    def rename(self, path: Path, name: Path) -> None:
        """Give a file another name, in place of any that had it."""
        path.replace(name)

    def shrink(self, path: Path, size: int) -> None:
        """Give back what a file holds beyond `size` bytes; the file itself, where nothing is left."""
        if size:
            os.truncate(path, size)
        else:
            self.remove(path)

    def remove(self, path: Path) -> None:
        """Take a file away, if it is there."""
        path.unlink(missing_ok=True)

    def flush(self, descriptor: int) -> None:
        """Make what was written durable. After a failure nothing is known of the file: never ask it again."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close, whatever is preallocated behind the last record."""
        os.close(descriptor)

    def finish(self, descriptor: int, at: int, end: bytes) -> None:
        """Give back what is preallocated behind `at`, write the end there, and close."""
        try:
            os.ftruncate(descriptor, at)
            self.write(descriptor, end, at)
        finally:
            os.close(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
