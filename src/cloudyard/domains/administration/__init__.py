"""Administration: what those who run an installation see and change of its users and their credit."""

from cloudyard.domains.administration.records import Figures, Overview
from cloudyard.domains.administration.service import Administration

__all__ = ["Administration", "Figures", "Overview"]
