"""Programs that start from here: server, command line, model worker."""
