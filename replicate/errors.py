"""The one exception for mistakes a user can fix, and how text of others is shown."""

import re


class UserError(Exception):
    """What is wrong, the value seen, and valid values or the next command.

    The command line prints it without a trace and exits with code 2. Several problems found at
    once are joined by newlines, one line each.
    """


def plain(text: str) -> str:
    """Text for a terminal, which must not take anything in a name or an error for a command to it."""
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else sign.encode("unicode_escape").decode()
        for sign in text
    )


def has_controls(text: str) -> bool:
    """Whether text holds a newline or the like: a message is one line, so no name in it may break one."""
    return re.search(r"[\x00-\x1f\x7f]", text) is not None
