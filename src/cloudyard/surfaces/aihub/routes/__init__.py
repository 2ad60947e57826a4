"""The routes of Smart AI Hub, one file a part of its document."""
