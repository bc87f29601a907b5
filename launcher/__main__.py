"""`python -m launcher` is the `launcher` command."""

from launcher.entry import main

if __name__ == "__main__":
    main()
