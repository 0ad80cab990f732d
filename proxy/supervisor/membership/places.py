"""The names of what a fleet has in its store, and what people may see of it. Pure."""

from typing import Final, TypedDict

TICKETS: Final = "tickets"
MEMBERS: Final = "members/"
INVITATIONS: Final = "invitations/"
REQUESTS: Final = "requests/"
WELCOMES: Final = "welcomes/"


class MemberRow(TypedDict):
    """What the store has about a member: its public key in PEM, since when it is one (UNIX
    seconds), and which node let it in; that is empty for the founder.
    """

    public: str
    since: float
    by: str


class InvitationRow(TypedDict):
    """An invitation: its secret in hexadecimal, and when it ends, in UNIX seconds."""

    secret: str
    ends: float
