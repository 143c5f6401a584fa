"""FLOW: the pages in order.  Loading it loads everything heavy, so the app does that late."""

from fedwiz.site import site
from screens.backend import BackendPage
from screens.hosts import HostsPage
from screens.install import InstallPage
from screens.interfaces import InterfacesPage
from screens.network import NetworkPage
from screens.page import Page
from screens.review import ReviewPage
from screens.verify import VerifyPage

__all__ = ["FLOW", "site"]

FLOW: dict[str, type[Page]] = {
    page.STEP: page
    for page in (
        HostsPage,
        NetworkPage,
        BackendPage,
        InterfacesPage,
        ReviewPage,
        InstallPage,
        VerifyPage,
    )
}
"""By the name that a draft keeps."""
