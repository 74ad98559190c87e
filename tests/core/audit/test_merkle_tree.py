"""The tree, held against the published vectors of RFC 6962 and against its recursive definition."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_ml.audit import AuditError
from surgical_ml.audit.entry import leaf_hash
from surgical_ml.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    consistent,
    included,
    inclusion_proof,
    nodes_of,
    root_of,
)

ENTRIES = [
    bytes.fromhex(one)
    for one in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
"""The eight leaves of the Certificate Transparency test vectors, with the root after each."""

ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEFT_FOUR, RIGHT_FOUR = ROOTS[3], "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
SECOND, PAIR = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", ROOTS[1]
SECOND_PAIR = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
THIRD_PAIR = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
FOURTH_PAIR = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
EIGHTH = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
FIFTH = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"

LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = next(k for k in (2**e for e in range(20)) if k < len(leaves) <= 2 * k)
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = next(k for k in (2**e for e in range(20)) if k < len(leaves) <= 2 * k)
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = next(k for k in (2**e for e in range(20)) if k < len(leaves) <= 2 * k)
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def made(count: int, seed: int = 0) -> list[bytes]:
    return [leaf_hash(f"{seed}:{k}".encode()) for k in range(count)]


SIZES = st.integers(1, 70)


def test_the_roots_are_those_of_the_published_vectors():
    tree = Frontier()
    assert tree.root() == EMPTY_ROOT == hashlib.sha256().digest()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.append(leaf)
        assert tree.root().hex() == root


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 1, []),
        (0, 8, [SECOND, SECOND_PAIR, RIGHT_FOUR]),
        (5, 8, [FIFTH, FOURTH_PAIR, LEFT_FOUR]),
        (2, 3, [PAIR]),
        (1, 5, [ROOTS[0], SECOND_PAIR, FIFTH]),
    ],
)
def test_inclusion_proofs_are_those_of_the_published_vectors(index, size, path):
    proof = inclusion_proof(index, size, nodes_of(LEAVES))
    assert [one.hex() for one in proof] == path
    assert included(LEAVES[index], index, size, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (1, 1, []),
        (1, 8, [SECOND, SECOND_PAIR, RIGHT_FOUR]),
        (6, 8, [THIRD_PAIR, FOURTH_PAIR, LEFT_FOUR]),
        (2, 5, [SECOND_PAIR, FIFTH]),
    ],
)
def test_consistency_proofs_are_those_of_the_published_vectors(old, new, path):
    proof = consistency_proof(old, new, nodes_of(LEAVES))
    assert [one.hex() for one in proof] == path
    assert consistent(old, bytes.fromhex(ROOTS[old - 1]), new, bytes.fromhex(ROOTS[new - 1]), proof)


@given(SIZES, st.data())
def test_a_tree_and_its_proofs_are_those_of_the_definition(size, data):
    leaves = made(size)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root = naive_root(leaves)
    assert root_of(leaves) == root
    proof = inclusion_proof(index, size, nodes_of(leaves))
    assert list(proof) == naive_path(index, leaves)
    assert included(leaves[index], index, size, proof, root)
    proof = consistency_proof(old, size, nodes_of(leaves))
    assert list(proof) == naive_subproof(old, leaves, True)
    assert consistent(old, naive_root(leaves[:old]), size, root, proof)


@given(SIZES, st.data())
def test_a_tree_that_is_taken_up_again_grows_as_if_it_had_never_been_put_down(size, data):
    leaves = made(size)
    cut = data.draw(st.integers(0, size))
    tree = Frontier.of(cut, nodes_of(leaves[:cut]))
    assert (tree.size, tree.root()) == (cut, naive_root(leaves[:cut]))
    for leaf in leaves[cut:]:
        tree.append(leaf)
    assert (tree.size, tree.root()) == (size, naive_root(leaves))


@given(st.integers(2, 40), st.data())
def test_a_proof_of_anything_else_is_refused(size, data):
    leaves, other = made(size), made(size, seed=1)
    root = root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, nodes_of(leaves))
    assert not included(other[index], index, size, proof, root)
    assert not included(leaves[index], index, size, proof, root_of(other))
    # Another place, or another size, has the same path only where the tree has the same shape there.
    wrong = data.draw(st.integers(-2, size + 2).filter(lambda at: at != index))
    assert not included(leaves[index], wrong, size, proof, root)
    assert not included(leaves[index], index, size, proof[:-1], root)
    assert not included(leaves[index], index, size, (*proof, root), root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not included(leaves[index], index, size, (*proof[:at], other[0], *proof[at + 1 :]), root)


@given(st.integers(2, 40), st.data())
def test_a_consistency_proof_of_a_forked_or_shortened_tree_is_refused(size, data):
    leaves = made(size)
    old = data.draw(st.integers(1, size - 1))
    changed = data.draw(st.integers(0, old - 1))
    fork = [*leaves[:changed], made(1, seed=2)[0], *leaves[changed + 1 :]]
    old_root, root = root_of(leaves[:old]), root_of(leaves)
    proof = consistency_proof(old, size, nodes_of(leaves))
    forked = consistency_proof(old, size, nodes_of(fork))
    assert not consistent(old, old_root, size, root_of(fork), forked)
    assert not consistent(old, old_root, size, root_of(fork), proof)
    assert not consistent(old, root_of(fork[:old]), size, root, proof)
    assert not consistent(size, root, old, old_root, proof)
    assert not consistent(old, old_root, size, root, proof[:-1])
    assert not consistent(old, old_root, size, root, (*proof, root))
    assert not consistent(size, root, size, old_root, ())
    assert not consistent(size, root, size, root, proof)


def test_an_empty_tree_begins_every_tree_and_only_with_an_empty_proof():
    assert consistent(0, EMPTY_ROOT, 8, bytes.fromhex(ROOTS[7]), ())
    assert not consistent(0, bytes(32), 8, bytes.fromhex(ROOTS[7]), ())
    assert not consistent(0, EMPTY_ROOT, 8, bytes.fromhex(ROOTS[7]), (bytes(32),))


def test_what_is_not_in_the_tree_has_no_proof():
    for index in (-1, 8):
        with pytest.raises(AuditError, match="an entry below 8"):
            inclusion_proof(index, 8, nodes_of(LEAVES))
    for old in (0, 9):
        with pytest.raises(AuditError, match="a size from 1 to 8"):
            consistency_proof(old, 8, nodes_of(LEAVES))
