"""The one door to Salesforce: simple-salesforce and requests are used in this package only, and only our errors leave it.

`transport` binds a session to one host, `login`, `soap` and `connection` keep it logged in and decide what is sent twice, `replies`
says what an answer means, `soql`, `rows`, `person_accounts`, `reading`, `writes` and `bulk` hold the operations, `org` puts them
together.
"""

from workbench.salesforce.check import CheckLine, check_org
from workbench.salesforce.connection import Patience
from workbench.salesforce.login import OrgCredentials
from workbench.salesforce.org import SalesforceOrg
from workbench.salesforce.probe import probe_org, probe_record
from workbench.salesforce.soap import LEGACY
from workbench.salesforce.transport import Route, Timeouts

__all__ = [
    "LEGACY",
    "CheckLine",
    "OrgCredentials",
    "Patience",
    "Route",
    "SalesforceOrg",
    "Timeouts",
    "check_org",
    "probe_org",
    "probe_record",
]
