"""The root of leadstream's exceptions.

Every exception that a user can meet derives from :class:`LeadstreamError`; its message says what was wrong, where, and
what to do. The command line prints the message and exits with :attr:`LeadstreamError.exit_code`, without a traceback.
Anything else that escapes is a defect of ours.
"""

from __future__ import annotations


class LeadstreamError(Exception):
    """Something the user, the configuration or the surroundings got wrong."""

    exit_code = 1


class UsageError(LeadstreamError):
    """Wrong use: a bad file, flag or value that must be changed before trying again."""

    exit_code = 2
