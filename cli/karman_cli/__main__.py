"""`python -m karman_cli` is `karman`."""

from karman_cli.main import main

if __name__ == "__main__":
    main()
