"""The parts of the pages that come from the code: keys of the config, options of commands, fields of dataclasses."""

import argparse
import dataclasses
import inspect
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from docutils import nodes
from pygments.lexer import RegexLexer
from pygments.token import Comment, Keyword, Number, Text
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from equipot.cli.main import COMMANDS, parsers
from equipot.config_file import all_keys


class Lines(RegexLexer):
    """Colours for shell commands and LAMMPS input: the first word of a line, numbers, comments."""

    name = "commands"
    tokens = {  # noqa: RUF012
        "root": [
            (r"(?<!\S)#.*", Comment),
            (r"^\S+", Keyword),
            (r"(?<=\s)-?\d[\d.e+-]*(?=\s)", Number),
            (r"\s+|\S+", Text),
        ]
    }


class Keys(SphinxDirective):
    """`{equipot-keys}`: all keys of the config with their defaults and their manual, as `equipot train --keys`."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(_keys()), allow_section_headings=True)


class Commands(SphinxDirective):
    """`{equipot-commands}`: a section with usage, options and examples for each command."""

    def run(self) -> list[nodes.Node]:
        text = "\n".join(line for name in COMMANDS for line in _command(name))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _keys() -> Iterator[str]:
    for section, keys in groupby(all_keys(), key=lambda key: key.name.rpartition(".")[0]):
        yield f"## {section or 'output'}\n"
        for key in keys:
            # The name of a key is a heading, so that pages can link to it.
            yield f"({key.name})=\n"
            yield f"`{key.name}` ({_plain(key.default)})"
            yield f": {key.description.replace(chr(10), chr(10) + '  ')}\n"


def _command(name: str) -> Iterator[str]:
    parser = parsers(name)[1][name]
    yield f"## equipot {name}\n"
    yield from _prose(_sentence(parser.description or ""))
    usage = parser.format_usage().removeprefix("usage: ")
    yield from ("```text", re.sub(r"\n {8,}", "\n    ", usage).rstrip(), "```\n")
    formatter = parser._get_formatter()
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction):
            yield _invocation(action)
            yield f": {_plain(formatter._expand_help(action)) if action.help else ''}\n"
    yield from _prose(parser.epilog or "")


def _add_fields(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Add the fields of a dataclass to its docstring, with the comments that stand behind or above them."""
    if what != "class" or not dataclasses.is_dataclass(thing):
        return
    above: list[str] = []
    for line in inspect.getsource(thing).splitlines():
        if match := re.match(r"    # (.*)", line):
            above.append(match[1])
        elif match := re.match(r"    ([a-z]\w*): [^#]*(?:# (.*))?$", line):
            text = " ".join([*above, match[2] or ""]).strip()
            lines += [f":ivar {match[1]}: {text}"] if text else []
            above = []
        else:
            above = []


def _sentence(text: str) -> str:
    """Return a text as a sentence; the one-line summaries of commands have neither a capital letter nor a full stop."""
    return text if "\n" in text else f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def _invocation(action: argparse.Action) -> str:
    values = _metavar(action)
    if not action.option_strings:
        return f"`{values}`"
    return ", ".join(
        f"`{option}{' ' + values if action.nargs != 0 else ''}`" for option in action.option_strings
    )


def _metavar(action: argparse.Action) -> str:
    metavar: Any = action.metavar
    if metavar is None:
        metavar = f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper()
        metavar = action.dest if not action.option_strings else metavar
    return " ".join(metavar) if isinstance(metavar, tuple) else str(metavar)


def _prose(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text as Markdown; indented lines are tables or commands and stay as they are."""
    for indented, lines in groupby(text.strip().splitlines(), key=lambda line: line.startswith("  ")):
        block = [line.rstrip() for line in lines]
        if indented:
            yield from ("```text", *(line.removeprefix("  ") for line in block), "```\n")
        else:
            yield from (_plain(line) for line in block)
            yield ""


def _plain(text: str) -> str:
    """Return a text without Markdown's meaning of characters, except backquotes."""
    return re.sub(r"([*_<>\[\]$])", r"\\\1", text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives, the fields of dataclasses and the colours of commands."""
    for language in ("sh", "lammps"):
        app.add_lexer(language, Lines)
    app.connect("autodoc-process-docstring", _add_fields)
    app.add_directive("equipot-keys", Keys)
    app.add_directive("equipot-commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
