"""The Merkle tree against RFC 9162: published vectors, a tree written out by hand, and properties."""

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.trail import (
    EMPTY_ROOT,
    Frontier,
    consistency_holds,
    consistency_proof,
    inclusion_holds,
    inclusion_proof,
    leaf_hash,
    tree_root,
)


def leaves(count):
    return [leaf_hash(bytes([n])) for n in range(count)]


def mth(hashes):
    """The definition in RFC 9162 2.1.1, word by word, as the oracle."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(hashes[:k]) + mth(hashes[k:])).digest()


def vectors(kind):
    folder = os.environ.get("WORKBENCH_CORPORA")
    if not folder:
        pytest.skip("WORKBENCH_CORPORA is not set: the published RFC 9162 vectors are not here")
    return json.loads((Path(folder) / "merkle-rfc9162-vectors.json").read_text())[kind]


def decoded(texts):
    return [base64.b64decode(text) for text in texts or []]


def test_a_leaf_and_an_empty_tree_hash_as_the_rfc_says():
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("count", range(34))
def test_the_root_is_the_one_of_the_definition_however_the_leaves_arrive(count):
    frontier = Frontier()
    for hashed in leaves(count):
        frontier = frontier.append(hashed)
    assert frontier.root() == tree_root(leaves(count)) == mth(leaves(count))
    assert Frontier(frontier.size, frontier.peaks).append(leaf_hash(b"x")).root() == mth([*leaves(count), leaf_hash(b"x")])


def test_a_frontier_that_lost_a_peak_is_refused():
    with pytest.raises(ValueError, match="one peak for each bit"):
        Frontier(3, (bytes(32),))


@given(st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))), st.data())
def test_an_inclusion_proof_holds_and_no_altered_one_does(pair, data):
    size, index = pair
    hashes = leaves(size % 256)
    root, proof = tree_root(hashes), inclusion_proof(hashes, index)
    assert inclusion_holds(hashes[index], index, size=size, root=root, proof=proof)
    assert not inclusion_holds(leaf_hash(b"other"), index, size=size, root=root, proof=proof)
    assert not inclusion_holds(hashes[index], size, size=size, root=root, proof=proof)
    assert not inclusion_holds(hashes[index], index, size=size, root=root, proof=[*proof, bytes(32)])
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not inclusion_holds(hashes[index], index, size=size, root=root, proof=proof[:place] + proof[place + 1 :])
        broken = [*proof[:place], bytes(32), *proof[place + 1 :]]
        assert not inclusion_holds(hashes[index], index, size=size, root=root, proof=broken)


@given(st.integers(1, 200).flatmap(lambda size: st.tuples(st.just(size), st.integers(1, size))), st.data())
def test_a_consistency_proof_holds_and_no_altered_one_does(pair, data):
    size, old = pair
    hashes = leaves(size)
    sides = {"old_size": old, "old_root": tree_root(hashes[:old]), "size": size, "root": tree_root(hashes)}
    proof = consistency_proof(hashes, old)
    assert consistency_holds(**sides, proof=proof)
    assert not consistency_holds(**sides, proof=[*proof, bytes(32)])
    assert not consistency_holds(**{**sides, "old_root": bytes(32)}, proof=proof)
    assert not consistency_holds(**{**sides, "root": bytes(32)}, proof=proof)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not consistency_holds(**sides, proof=proof[:place] + proof[place + 1 :])
        assert not consistency_holds(**sides, proof=[*proof[:place], bytes(32), *proof[place + 1 :]])


def test_an_empty_tree_proves_nothing_even_about_itself():
    assert not consistency_holds(old_size=0, old_root=EMPTY_ROOT, size=0, root=EMPTY_ROOT, proof=[])
    with pytest.raises(ValueError, match="between 1 and"):
        consistency_proof([], 0)
    with pytest.raises(ValueError, match="index of a leaf"):
        inclusion_proof([], 0)


def test_the_98_published_inclusion_proofs():
    cases = vectors("inclusion")
    for name, case in cases.items():
        holds = inclusion_holds(
            base64.b64decode(case["leafHash"]), case["leafIdx"],
            size=case["treeSize"], root=base64.b64decode(case["root"]), proof=decoded(case["proof"]),
        )  # fmt: skip
        assert holds is not case["wantErr"], name
    assert len(cases) == 98


def test_the_98_published_consistency_proofs():
    cases = vectors("consistency")
    for name, case in cases.items():
        holds = consistency_holds(
            old_size=case["size1"], old_root=base64.b64decode(case["root1"]),
            size=case["size2"], root=base64.b64decode(case["root2"]), proof=decoded(case["proof"]),
        )  # fmt: skip
        assert holds is not case["wantErr"], name
    assert len(cases) == 98
