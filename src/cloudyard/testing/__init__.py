"""Factories, simulators and conformance suites for tests."""
