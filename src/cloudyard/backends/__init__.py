"""Real things behind the domains' ports: one folder a port, one module a backend."""
