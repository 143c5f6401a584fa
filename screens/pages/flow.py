"""FLOW, all pages in order.  Importing it loads everything heavy, so the app does so late."""

from fedwiz.wizard.inventory import inventory
from screens.pages.backend import BackendPage
from screens.pages.hosts import HostsPage
from screens.pages.install import InstallPage
from screens.pages.interfaces import InterfacesPage
from screens.pages.network import NetworkPage
from screens.pages.page import Page
from screens.pages.review import ReviewPage
from screens.pages.verify import VerifyPage

__all__ = ["FLOW", "inventory"]

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
"""By the page name used in drafts."""
