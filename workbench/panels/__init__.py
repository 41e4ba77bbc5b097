"""The screens of the workbench for JupyterLab: each takes a `Workbench`, calls its methods and shows what they say."""

from workbench.panels.batch import BatchPanel
from workbench.panels.mismatches import MismatchPanel
from workbench.panels.review import ReviewPanel
from workbench.panels.start import StartPanel
from workbench.panels.trail import TrailPanel

__all__ = ["BatchPanel", "MismatchPanel", "ReviewPanel", "StartPanel", "TrailPanel"]
