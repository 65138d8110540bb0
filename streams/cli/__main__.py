"""`python -m streams.cli`: the `leadstream` command where no script is installed."""

from streams.cli import main

if __name__ == "__main__":
    main()
