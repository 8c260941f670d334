"""The code blocks of the documentation: where they stand, in which language, and the commands in them.

python -m tests.docs.blocks      lists what the tests do not run, with the reasons
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "configs/*.md", "examples/*/*.md")
    for file in ROOT.glob(pattern)
    if file.name != "CHANGELOG.md"
)
# A comment above a block, which readers of the page do not see.
_MARK = re.compile(r"<!-- not run: (.*?) -->")
_LAMMPS = "units|fix|compute|pair_style|pair_coeff|variable|dump|restart|write_restart|read_restart|thermo"
_PROGRAMS = "equipot|pip|python|make|mpiexec|cc|cmake|git|module"
# Programs that the tests do not start, with the reason.
NOT_STARTED = {
    ".": "changes the shell",
    "./dimer": "tests/runtime/test_c_interface.py compiles and runs it",
    "cc": "tests/runtime/test_c_interface.py compiles and runs it",
    "cd": "changes the shell",
    "cmake": "tests/lammps/test_build.py builds the plugin",
    "git": "fetches from another machine",
    "module": "is a program of clusters",
    "pip": "changes the environment",
}
# Parts of commands that need something that a test does not have.
MISSING = {
    r"\bsevenn:": "needs the package sevenn, see tests/convert",
    r"--cuda|--device cuda|device cuda": "needs a GPU",
    r"--include": "needs the sources of a LAMMPS, see tests/lammps/test_build.py",
    r"\$\(|…": "is a part of a command",
    r"\bNAME\b|\bMODEL\b|\bFOLDER\b|\bENV\b|\bSET\b|\bMAKE\b|\bDIR\b": "has a placeholder",
    r"\buniversal\(": "needs the package sevenn, see tests/convert",
}


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: str
    line: int
    language: str  # "sh", "python", "yaml", "lammps", "c", "text"
    text: str
    not_run: str = ""  # the reason on the page

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def reason_not_to_run(self, part: str = "") -> str:
        """Return the reason why the tests do not run the block, or a part of it; "" if they do."""
        code = re.sub(r"(^|\s)#.*", "", part or self.text, flags=re.MULTILINE)
        return self.not_run or next((why for what, why in MISSING.items() if re.search(what, code)), "")


@dataclass(frozen=True)
class Command:
    """A line of a shell block."""

    block: Block
    text: str

    @property
    def program(self) -> str:
        """The name of the program."""
        words = [w for w in self.text.split() if not re.match(r"[A-Z_]+=", w)]
        return words[0].removeprefix(".venv/bin/") if words else ""

    @property
    def not_run(self) -> str:
        """The reason why the tests do not run it, or ""."""
        return self.block.reason_not_to_run(self.text) or NOT_STARTED.get(self.program, "")


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page."""
    name, mark, result = str(page.relative_to(ROOT)), "", []
    for token in MarkdownIt("commonmark").parse(page.read_text()):
        if token.type == "html_block" and (match := _MARK.search(token.content)):
            mark = match[1]
        elif token.type in ("fence", "code_block"):
            language = token.info.strip() or _guess(token.content)
            assert token.map is not None
            if not language.startswith("{"):  # a directive of the site
                result.append(Block(name, token.map[0] + 1, language, token.content, mark))
            mark = ""
    return result


def _guess(text: str) -> str:
    """Return the language of a block that names none."""
    if re.search(rf"^(\.venv/bin/|\S+=\S+ +)*({_PROGRAMS})\b", text, re.MULTILINE):
        return "sh"
    return "lammps" if re.search(rf"^({_LAMMPS})\b", text, re.MULTILINE) else "text"


def all_blocks(language: str) -> list[Block]:
    """Return the blocks of a language on all pages."""
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def commands() -> list[Command]:
    """Return the commands on all pages."""
    return [Command(b, line) for b in all_blocks("sh") for line in _lines(b.text)]


def _lines(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.sub(r"(^|\s)#.*", "", line).split("&&"):
            if part.strip():
                yield " ".join(part.split())


if __name__ == "__main__":
    for command in commands():
        if command.not_run:
            print(f"{command.block}: {command.text}\n    {command.not_run}")
    for block in (b for name in ("python", "yaml", "lammps") for b in all_blocks(name)):
        if reason := block.reason_not_to_run():
            print(f"{block}: {block.language} block\n    {reason}")
