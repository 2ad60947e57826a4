"""The published APIs, each a thin translation of the domains."""
