"""The routes of NeuroGrid, one file a category of its document."""
