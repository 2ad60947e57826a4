"""`python -m cloudyard` is the command line too."""

from cloudyard.entrypoints.cli import main

main()
