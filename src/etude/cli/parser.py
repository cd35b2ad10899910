"""A command's options, with errors in one line."""

import argparse
from typing import NoReturn

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
