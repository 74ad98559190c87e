"""Tiles: the paths of the C2SP specification, and a tree that reads the same from its tiles as from memory."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_ml.audit import AuditError
from surgical_ml.audit.entry import leaf_hash
from surgical_ml.audit.merkle import consistency_proof, consistent, included, inclusion_proof, nodes_of, root_of
from surgical_ml.audit.tiles import ENTRIES, Edge, Tile, TiledTree, bundle, bundles_of, split_bundle, tiles_of

LEAVES = [leaf_hash(str(k).encode()) for k in range(66_000)]
"""Enough for a full tile of the second level, and a third level."""

TILES = st.builds(Tile, st.integers(ENTRIES, 63), st.integers(0, 10**12), st.integers(1, 256))


def grown(size: int) -> dict[str, bytes]:
    """The tiles of a tree, as a writer leaves them."""
    edge, files = Edge(), {}
    for leaf in LEAVES[:size]:
        files |= {tile.path: data for tile, data in edge.append(leaf)}
    return files | {tile.path: data for tile, data in edge.partial()}


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        # the examples of the specification: index 1234067, and a tree of 70,000 entries
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(ENTRIES, 273, 112), "tile/entries/273.p/112"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(1, 1, 17), "tile/1/001.p/17"),
        (Tile(2, 0, 1), "tile/2/000.p/1"),
        (Tile(0, 0), "tile/0/000"),
        (Tile(63, 1000), "tile/63/x001/000"),
    ],
)
def test_paths_are_those_of_the_specification(tile, path):
    assert tile.path == path
    assert Tile.of_path(path) == tile


def test_a_tree_of_70_000_entries_has_the_files_of_the_specification():
    paths = [tile.path for tile in tiles_of(70_000)]
    assert paths == [
        *[f"tile/0/{k:03d}" for k in range(273)],
        *("tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"),
    ]
    bundles = [tile.path for tile in bundles_of(70_000)]
    assert bundles == [*[f"tile/entries/{k:03d}" for k in range(273)], "tile/entries/273.p/112"]


@given(TILES)
def test_a_path_leads_back_to_its_tile(tile):
    assert Tile.of_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        *("", "tile", "tile/0", "tile/0/1", "tile/0/0001", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/x/000"),
        *("tile/0/x000/001", "tile/0/001/002", "tile/0/x001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01"),
        *(
            "tile/0/000.p/999",
            "/tile/0/000",
            "tile/0/000/",
            "tile/0/../000",
            "tile/0/\u0661\u0661\u0661",
            "tile/0/000\n",
        ),
    ],
)
def test_another_spelling_of_a_path_is_refused(path):
    with pytest.raises(AuditError, match="the path of a tile"):
        Tile.of_path(path)


@given(st.text(st.sampled_from("tile/entries0123456789x.p"), max_size=30) | st.text(max_size=20))
def test_any_text_is_a_path_of_one_tile_or_refused(text):
    try:
        tile = Tile.of_path(text)
    except AuditError:
        return
    assert tile.path == text


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([1, 2, 255, 256, 257, 511, 512, 700]) | st.integers(1, 3000), st.data())
def test_a_tree_reads_the_same_from_its_tiles_as_from_memory(size, data):
    files = grown(size)
    assert sorted(files) == sorted(tile.path for tile in tiles_of(size))
    tree, memory = TiledTree(size, lambda tile: files[tile.path]), nodes_of(LEAVES[:size])
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert inclusion_proof(index, size, tree.node) == inclusion_proof(index, size, memory)
    assert consistency_proof(old, size, tree.node) == consistency_proof(old, size, memory)


def test_a_tree_over_three_levels_of_tiles_reads_the_same():
    size = len(LEAVES)
    files = grown(size)
    assert sorted(files) == sorted(tile.path for tile in tiles_of(size))
    tree, root = TiledTree(size, lambda tile: files[tile.path]), root_of(LEAVES)
    for index in (0, 255, 65_535, 65_536, size - 1):
        assert included(LEAVES[index], index, size, inclusion_proof(index, size, tree.node), root)
    for old in (1, 256, 65_536, 65_537):
        proof = consistency_proof(old, size, tree.node)
        assert consistent(old, root_of(LEAVES[:old]), size, root, proof)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 600))
def test_an_edge_taken_up_from_its_tiles_goes_on_as_if_never_put_down(size, more):
    files = grown(size)
    edge = Edge.of(size, lambda tile: files[tile.path])
    assert (edge.size, edge.root()) == (size, root_of(LEAVES[:size]))
    for leaf in LEAVES[size : size + more]:
        files |= {tile.path: data for tile, data in edge.append(leaf)}
    files |= {tile.path: data for tile, data in edge.partial()}
    wanted = grown(size + more)
    assert {path: files[path] for path in wanted} == wanted
    assert edge.root() == root_of(LEAVES[: size + more])


def test_a_tile_of_another_length_is_refused_by_its_path():
    files = grown(300)
    files["tile/0/001.p/44"] = files["tile/0/001.p/44"][:-1]
    with pytest.raises(AuditError, match=r"tile/0/001.p/44: expected 1408 bytes, found 1407"):
        TiledTree(300, lambda tile: files[tile.path]).node(0, 299)


def test_a_node_that_the_tree_does_not_have_is_refused():
    with pytest.raises(AuditError, match="level 3, 1"):
        TiledTree(15, lambda tile: b"").node(3, 1)


@given(st.lists(st.binary(max_size=40) | st.just(bytes(65_535)), max_size=256))
def test_a_bundle_is_split_into_the_entries_it_was_made_of(entries):
    assert split_bundle(bundle(entries), len(entries), "bundle") == entries


def test_an_entry_of_65_536_bytes_has_no_place_in_a_bundle():
    with pytest.raises(AuditError, match="65536"):
        bundle([bytes(65_536)])


@given(st.binary(max_size=60), st.integers(1, 5))
def test_any_bytes_are_a_bundle_of_so_many_entries_or_refused_by_the_byte(data, width):
    try:
        entries = split_bundle(data, width, "b")
    except AuditError as error:
        assert error.thing.startswith("b: byte ")
        return
    assert len(entries) == width
    assert bundle(entries) == data
