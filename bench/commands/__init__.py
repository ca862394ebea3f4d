"""The subcommands of `python -m bench`: each has `add_parser` and `main`; what is heavy is imported when it runs."""
