"""Commands of equipot as a user types them: they are printed before they run."""

import io
import shlex
from contextlib import redirect_stderr, redirect_stdout

from rich.console import Console

from equipot.cli.main import main

CONSOLE = Console(highlight=False)


def equipot(*arguments: object, may_stop: bool = False) -> None:
    """Run a command of equipot; a command that fails ends the example with its message.

    The commands run in this process, which imports torch only once.

    may_stop: whether the command may end a simulation at a high grade, with exit status 1.
    """
    words = [str(a) for a in arguments]
    CONSOLE.print(f"$ {shlex.join(['equipot', *words])}", style="dim", markup=False, soft_wrap=True)
    with redirect_stdout(io.StringIO()) as output, redirect_stderr(io.StringIO()) as errors:
        code = main(words)
    stopped = may_stop and "as a grade is above" in errors.getvalue()
    if code != 0 and not stopped:
        raise SystemExit(errors.getvalue().strip() or output.getvalue().strip())
