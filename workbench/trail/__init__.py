"""The audit trail: events, the Merkle tree over them, signed checkpoints, verification and export. Bytes in, verdict out.

Nothing here opens a database, draws a random number or reads a clock; only `trail.export` touches files. The event classes
are in `workbench.trail.events`.
"""

from workbench.trail import events
from workbench.trail.checkpoint import (
    Checkpoint,
    Signer,
    VerifierKey,
    join_notes,
    open_checkpoint,
    parse_checkpoint,
    split_notes,
)
from workbench.trail.event import EVENT_TYPES, Event, read_event
from workbench.trail.export import TrailExport, read_export, verify_export, write_excerpt, write_export
from workbench.trail.leaf import SALT_BYTES, Header, SealedEvent, leaf_bytes, leaf_time, payload_digest, read_leaf, seal
from workbench.trail.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_holds,
    consistency_proof,
    inclusion_holds,
    inclusion_proof,
    leaf_hash,
    tree_root,
)
from workbench.trail.verification import TrailRow, TrailVerdict, TrailVerification, verify_trail

__all__ = [
    "EMPTY_ROOT",
    "EVENT_TYPES",
    "SALT_BYTES",
    "Checkpoint",
    "Event",
    "Frontier",
    "Header",
    "SealedEvent",
    "Signer",
    "TrailExport",
    "TrailRow",
    "TrailVerdict",
    "TrailVerification",
    "VerifierKey",
    "consistency_holds",
    "consistency_proof",
    "events",
    "inclusion_holds",
    "inclusion_proof",
    "join_notes",
    "leaf_bytes",
    "leaf_hash",
    "leaf_time",
    "open_checkpoint",
    "parse_checkpoint",
    "payload_digest",
    "read_event",
    "read_export",
    "read_leaf",
    "seal",
    "split_notes",
    "tree_root",
    "verify_export",
    "verify_trail",
    "write_excerpt",
    "write_export",
]
