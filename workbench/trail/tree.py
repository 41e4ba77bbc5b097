"""The Merkle tree of RFC 9162: hashes, roots and the two kinds of proof.

Decides whether a leaf belongs to a tree and whether one tree continues another. Knows nothing of events or signatures;
hashes are 32 bytes of SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of 0x00 and the leaf (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """A tree reduced to what its future needs: its size and the roots of its perfect subtrees, largest first.

    Appending and the root cost O(log size), so a checkpoint does not read the trail again.

    Raises:
        ValueError: ``peaks`` does not have one hash for each bit that is set in ``size``.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError("a frontier has one peak for each bit set in its size")

    def append(self, hashed_leaf: bytes) -> Frontier:
        """The frontier of the tree with one more leaf, given as its leaf hash."""
        return self.extend((hashed_leaf,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """The frontier of the tree with these leaf hashes appended in order."""
        size, peaks = self.size, list(self.peaks)
        for hashed_leaf in leaf_hashes:
            _append(peaks, size, hashed_leaf)
            size += 1
        return Frontier(size, tuple(peaks))

    def root(self) -> bytes:
        """The tree's root hash; of an empty tree SHA-256 of nothing."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def tree_root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root of the tree over these leaf hashes."""
    return Frontier().extend(leaf_hashes).root()


def inclusion_proof(leaf_hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The hashes that lead from leaf ``index`` to the root (RFC 9162, 2.1.3.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaf_hashes):
        raise ValueError("an inclusion proof needs the index of a leaf in the tree")
    proof: list[bytes] = []
    low, high = 0, len(leaf_hashes)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(tree_root(leaf_hashes[middle:high]))
            high = middle
        else:
            proof.append(tree_root(leaf_hashes[low:middle]))
            low = middle
    return tuple(reversed(proof))


def inclusion_holds(hashed_leaf: bytes, index: int, *, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows the leaf at ``index`` of the tree with ``size`` leaves and ``root`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(hashed_leaf) != hashlib.sha256().digest_size:
        return False
    node, last, computed = index, size - 1, hashed_leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == root


def consistency_proof(leaf_hashes: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """The hashes that show the first ``old_size`` leaves unchanged in the whole tree (RFC 9162, 2.1.4.1).

    Raises:
        ValueError: ``old_size`` is 0 (an empty tree proves nothing) or larger than the tree.
    """
    if not 0 < old_size <= len(leaf_hashes):
        raise ValueError("a consistency proof needs an earlier size between 1 and the size of the tree")
    proof: list[bytes] = []
    low, high, whole = 0, len(leaf_hashes), True
    while old_size - low != high - low:
        middle = low + _split(high - low)
        if old_size <= middle:
            proof.append(tree_root(leaf_hashes[middle:high]))
            high = middle
        else:
            proof.append(tree_root(leaf_hashes[low:middle]))
            low, whole = middle, False
    if not whole:
        proof.append(tree_root(leaf_hashes[low:high]))
    return tuple(reversed(proof))


def consistency_holds(*, old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of ``size`` continues the tree of ``old_size`` (RFC 9162, 2.1.4.2).

    An old size of 0 is refused, even against 0: it would prove nothing and look like a proof.
    """
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    return bool(path) and _roots_along(path, old_size - 1, size - 1) == (old_root, root)


def _roots_along(path: Sequence[bytes], node: int, last: int) -> tuple[bytes, bytes] | None:
    """Old and new root computed from a consistency path, or None where its length does not fit."""
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return (old, new) if last == 0 else None


def _append(peaks: list[bytes], size: int, node: bytes) -> None:
    while size & 1:
        node, size = node_hash(peaks.pop(), node), size >> 1
    peaks.append(node)


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (RFC 9162, 2.1.1)."""
    return 1 << (size - 1).bit_length() - 1
