"""The errors that are meant for people."""


class UserError(Exception):
    """A mistake that the user can mend: one line with the value, the rule and the way out.

    It reaches the terminal as that line, without a traceback, and ends the command with code 2.
    """
