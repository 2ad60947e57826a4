"""`python -m cloudyard` is the `cloudyard` command."""

from cloudyard.entrypoints.cli import main

if __name__ == "__main__":
    main()
