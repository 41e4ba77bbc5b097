"""The main job on invented people: a scratch org, a register, a batch with proof, the nightly sync, reports."""

from workbench.demo.run import Demo, prepare, run

__all__ = ["Demo", "prepare", "run"]
