"""The errors that are meant for people, and the exit codes of a command that was asked to stop."""

INTERRUPTED = 130  # what shells use for Ctrl-C
PREEMPTED = 75  # EX_TEMPFAIL: try again later, the work goes on


class UserError(Exception):
    """A mistake that the user can mend: one line with the value, the rule and the way out.

    It reaches the terminal as that line, without a traceback.

    Attributes:
        code: That it ends the command with: 2, and 1 once a run has begun.
    """

    code = 2
