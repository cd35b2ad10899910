"""A command's options, with errors in one line."""

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

from etude.base.errors import UserError


def folder_to_be(text: str) -> Path:
    """Read an option that names a folder which need not be there.

    Raises:
        ArgumentTypeError: There is a file in its place, or where one above it would be.
    """
    path = Path(text)
    for place in (path, *path.parents):
        if place.exists():
            if not place.is_dir():
                raise argparse.ArgumentTypeError(f"{place} is a file; give a folder")
            break
    return path


class Words(argparse.ArgumentParser):
    """The options of a command that has nothing to do with Hydra."""

    listed_by = "--help"

    @classmethod
    def of(cls, command: str, description: str, examples: str) -> Self:
        """Begin the options of a command; no option is shortened, and examples stay as they are."""
        return cls(
            prog=command,
            description=description,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def add_completion(self) -> None:
        """Offer what completes the options by Tab: eval "$(<command> --completion bash)"."""
        self.add_argument(
            "--completion", action=_Completion, choices=("bash", "zsh", "fish"),
            help="print what completes its options by Tab, for eval",
        )  # fmt: skip

    def completion(self, shell: str) -> str:
        """Give a shell's words that complete options, and files and folders besides."""
        options = [o for a in self._actions for o in a.option_strings if o.startswith("--")]
        if shell == "fish":
            return "\n".join(f"complete -c {self.prog} -l {option[2:]}" for option in options)
        first = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
        return f"{first}complete -o default -W '{' '.join(options)}' {self.prog}"

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message}; the options are listed by {self.listed_by}")


class _Completion(argparse.Action):
    """Print what completes a command's words, and end it, as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> None:
        assert isinstance(parser, Words)  # noqa: S101 (which alone has the option)
        print(parser.completion(given[1]))  # noqa: T201 (for eval: no terminal's colours)
        parser.exit()


class Parser(Words):
    """The options of a command that takes a configuration's words besides."""

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            UserError: Always.
        """
        if "unrecognized arguments: --" in message:
            message += "; a key is written without dashes: key=value"
        super().error(message)


@contextmanager
def unread_help() -> Generator[None]:
    """Let argparse take help texts without reading them, as it did before Python 3.14.

    Hydra gives one that becomes a text only where it is shown, which 3.14 refuses while the parser
    is being made: https://github.com/facebookresearch/hydra/issues/3121.
    """
    container: Any = argparse._ActionsContainer  # pyright: ignore[reportPrivateUsage]
    checked = vars(container).get("_check_help")
    if checked is None:
        yield
        return
    container._check_help = _leave_unread
    try:
        yield
    finally:
        container._check_help = checked


def _leave_unread(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
    """Stand for argparse's reading of a help text."""
