"""The Merkle tree of RFC 6962: roots, the O(log n) state that grows one, and both kinds of proof.

A tree is read through a function `node(level, index)`: the hash of the complete subtree over the 2**level leaves from
`index * 2**level` on. Tiles are such a function, and so is a list of leaf hashes.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

from surgical_ml.audit.errors import AuditError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()
"""The root of a tree without leaves."""

Node = Callable[[int, int], bytes]


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children's hashes: RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows: the hashes of its largest complete subtrees, at most one a bit of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    @classmethod
    def of(cls, size: int, node: Node) -> "Frontier":
        """Continue a tree that is there already."""
        tree = cls()
        tree.size = size
        tree._peaks = [
            node(level, (size >> level) - 1) for level in reversed(range(size.bit_length())) if size >> level & 1
        ]
        return tree

    def append(self, leaf: bytes) -> None:
        """Take the next leaf's hash."""
        complete, hash_ = self.size, leaf
        while complete & 1:
            hash_ = node_hash(self._peaks.pop(), hash_)
            complete >>= 1
        self._peaks.append(hash_)
        self.size += 1

    def root(self) -> bytes:
        """The tree head, 32 bytes."""
        if not self._peaks:
            return EMPTY_ROOT
        *lefts, root = self._peaks
        for left in reversed(lefts):
            root = node_hash(left, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def nodes_of(leaves: Sequence[bytes]) -> Node:
    """A tree in memory, of its leaf hashes."""
    return lambda level, index: root_of(leaves[index << level : (index + 1) << level])


def inclusion_proof(index: int, size: int, node: Node) -> tuple[bytes, ...]:
    """The hashes that lead from a leaf to the root, the leaf's sibling first: RFC 6962, section 2.1.1.

    Raises:
        AuditError: a tree of that size has no such leaf.
    """
    if not 0 <= index < size:
        raise AuditError("inclusion proof", f"an entry below {size}", str(index))
    begin, end, path = 0, size, list[bytes]()
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_root(node, middle, end))
            end = middle
        else:
            path.append(_root(node, begin, middle))
            begin = middle
    return tuple(reversed(path))


def consistency_proof(old: int, new: int, node: Node) -> tuple[bytes, ...]:
    """The hashes that show that a tree of `old` leaves is the beginning of one of `new`: RFC 6962, section 2.1.2.

    Raises:
        AuditError: the older tree is empty or the larger one.
    """
    if not 0 < old <= new:
        raise AuditError("consistency proof", f"a size from 1 to {new}", str(old))
    begin, end, whole, path = 0, new, True, list[bytes]()
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_root(node, middle, end))
            end = middle
        else:
            path.append(_root(node, begin, middle))
            begin, whole = middle, False
    if not whole:
        path.append(_root(node, begin, end))
    return tuple(reversed(path))


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from the leaf to the root: RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, hash_ = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            hash_ = node_hash(step, hash_)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hash_ = node_hash(hash_, step)
        at, last = at >> 1, last >> 1
    return last == 0 and hash_ == root


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows the older tree to be the beginning of the newer one: RFC 9162, section 2.1.4.2.

    An empty tree begins every tree, and needs no proof.
    """
    if old == 0:
        return old_root == EMPTY_ROOT and not proof and new >= 0
    if old == new:
        return old_root == new_root and not proof
    if not 0 < old < new or not proof:
        return False
    # An older tree that is one complete subtree is itself the first hash.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, step)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _root(node: Node, begin: int, end: int) -> bytes:
    """The root over the leaves from `begin` to `end`, as they stand in a tree that splits at `begin`."""
    size = end - begin
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, begin >> level)
    middle = begin + _split(size)
    return node_hash(_root(node, begin, middle), _root(node, middle, end))
