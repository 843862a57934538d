"""Completion in bash, zsh and fish: the script that a shell reads, and what it is answered."""

import contextlib
import io
import os
import re

import click
from click import shell_completion

VARIABLE = "_SEARCH_COMPLETE"  # of the environment: a shell asks
SHELLS = ("bash", "zsh", "fish")
WORD = re.compile(r"""(?:\\.|'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$)|[^\s'"\\]|\\$)+""")  # of a line; a quote may be open
BREAKS = ":="  # where bash ends a word, beside spaces: what stands before it stays as it was typed


class Bash(shell_completion.BashComplete):
    """Bash, with words that hold spaces, quotes, `=` or `:`: click's own takes them apart."""

    source_template = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case "$line" in
            "") ;;
            file | dir) compopt -o default ;;
            nospace) compopt -o nospace ;;
            *) COMPREPLY+=("${line#plain,}") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def source(self) -> str:
        """The script; whoever asks for it knows which bash reads it."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor, and the one that it stands in, without quotes."""
        line = os.environ.get("COMP_LINE", "")
        words = shell_completion.split_arg_string(line)[1:]
        return (words[:-1], words[-1]) if _last(line) and words else (words, "")

    def complete(self) -> str:
        """A line for each word, as bash would have to read it."""
        args, incomplete = self.get_completion_args()
        items = self.get_completions(args, incomplete)
        if incomplete.startswith("-"):  # --option=VALUE: only the value is completed
            incomplete = incomplete.partition("=")[2]
        is_quoted = _last(os.environ.get("COMP_LINE", ""))[:1] in ("'", '"')
        lines = []
        for item in items:
            # bash closes a quote that is open, and takes what it holds for one word
            begun = 0 if is_quoted else 1 + max(item.value.rfind(mark, 0, len(incomplete)) for mark in BREAKS)
            value = item.value if is_quoted else re.sub(r"([^\w@%+=:,./-])", r"\\\1", item.value[begun:])
            lines.append(f"plain,{value}" if item.type == "plain" else item.type)
        if lines and all(item.value.endswith(("=", "/")) for item in items):
            lines.append("nospace")
        return "\n".join(lines)


def _last(line: str) -> str:
    """The last word of a line as it was typed, quotes and all; empty behind a space."""
    words = [*WORD.finditer(line)]
    return words[-1][0] if words and words[-1].end() == len(line) else ""


def answer(group: click.Group) -> int:
    """Answers the shell that asks by the environment, whatever goes wrong without a word; returns the exit code."""
    shell_completion.add_completion_class(Bash)
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(Exception):
        return shell_completion.shell_complete(group, {}, "search", VARIABLE, os.environ[VARIABLE])
    return 1


@click.command()
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Prints the script that completes commands, options, studies and values in SHELL: bash, zsh or fish.

    A line in the file that the shell reads at its start takes it up: the first example in ~/.bashrc, the second in
    ~/.zshrc behind compinit, and `search completion fish | source` in ~/.config/fish/config.fish. Names of studies are
    those of the line's --storage, or else of SEARCH_STORAGE. To complete makes nothing and says nothing.

    \b
    Example:
      eval "$(search completion bash)"
      eval "$(search completion zsh)"
      search completion fish > search.fish
    """
    shell_completion.add_completion_class(Bash)
    kind = shell_completion.get_completion_class(shell)
    assert kind is not None
    click.echo(kind(click.get_current_context().find_root().command, {}, "search", VARIABLE).source())
