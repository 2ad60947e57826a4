"""Backends of the inference domain's `Provider` port."""
