"""Where `runbooks` begins: it imports nothing before somebody can say in one line that Ctrl-C was pressed."""


def main() -> None:
    """Run the command line."""
    try:
        from starters.__main__ import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        import os  # noqa: PLC0415

        os.write(2, b"interrupted; runs that have been started go on\n")
        os._exit(130)
