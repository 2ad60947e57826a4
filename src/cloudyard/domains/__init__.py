"""The parts of the business. A domain knows no HTTP and no vendor."""
