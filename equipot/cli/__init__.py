"""The commands of `equipot`: one thin module each, with `add_arguments(parser)` and `run(args) -> int | None`."""
