"""The commands of the command line, one module each; `cloudyard.entrypoints.cli` loads only the one that is called."""
