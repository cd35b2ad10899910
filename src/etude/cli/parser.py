"""The options of a command that has nothing to do with Hydra."""

import argparse
from typing import NoReturn

from etude.base.errors import UserError


class Words(argparse.ArgumentParser):
    """A command's options, with errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message}; the options are listed by --help")
