"""The one exception for mistakes a user can mend."""


class UserError(Exception):
    """What is wrong, the value seen, and valid values or the next command.

    The command line prints it without a trace and exits with code 2. Several problems found at
    once are joined by newlines, one line each.
    """
