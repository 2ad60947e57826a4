"""A tour of a running server, through its public APIs only, that checks every figure it shows."""

from cloudyard.entrypoints.tour.route import TourOptions, take_tour
from cloudyard.entrypoints.tour.talk import TourStopped
from cloudyard.entrypoints.tour.webhook import Administrator

__all__ = ["Administrator", "TourOptions", "TourStopped", "take_tour"]
