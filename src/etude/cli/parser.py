"""A command's options, with errors in one line."""

import argparse
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NoReturn

from etude.base.errors import UserError


class Words(argparse.ArgumentParser):
    """The options of a command that has nothing to do with Hydra."""

    listed_by = "--help"

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message}; the options are listed by {self.listed_by}")


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
