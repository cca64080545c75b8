"""Names that the packages do not have, though each imports its names when they are first used."""

import gateway
from gateway import Typo  # error
from gateway.adapters import AsgiToWsgy  # error
from gateway.middleware import Corss  # error
from gateway.testing import Clients  # error

__all__ = ["AsgiToWsgy", "Clients", "Corss", "Typo"]

print(gateway.gatway)  # error
