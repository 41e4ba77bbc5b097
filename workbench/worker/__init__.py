"""Runs an approved batch: the person protocol, step by step, resumable after any crash without losing an opt-out.

What a person's state means, and what a reading means for it, is decided in `resubscription`; here it is only carried out, always in
this order: durable first, outward second. Clearing is conditional on the rows as read; setting an opt-out never is.
"""

from workbench.worker.course import Outcome, Progress
from workbench.worker.giving_up import GivenUp, give_up
from workbench.worker.running import run
from workbench.worker.undoing import undo

__all__ = ["GivenUp", "Outcome", "Progress", "give_up", "run", "undo"]
