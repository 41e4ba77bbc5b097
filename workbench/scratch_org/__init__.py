"""A Salesforce org on localhost: a real HTTP server with its own database, for tests and the demonstration.

It knows nothing of the rest of the workbench. Start it with ``start_scratch_org`` or ``python -m workbench.scratch_org``.
"""

from .people import generate_people
from .process import ScratchOrg, ScratchOrgError, start_scratch_org

__all__ = ["ScratchOrg", "ScratchOrgError", "generate_people", "start_scratch_org"]
