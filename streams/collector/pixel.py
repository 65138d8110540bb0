"""Our own open pixel: `GET /o.gif?l=LEAD&e=EMAIL`, and optionally `c` the campaign, `s` when it was sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from streams.collector.events import Outcome, Refused, Visit, event_of, judged
from streams.collector.values import instant, text
from streams.wire.bad import BadRecord

PROTOCOL: Final = "pixel"
#: One transparent pixel.
GIF: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)


def outcomes(query: Mapping[str, str], visit: Visit, original: bytes) -> list[Outcome]:
    """The EmailOpen of one loading of the pixel. Each is an event of its own: nothing tells a second look from the
    first; the model's limits do.
    """
    lead_id, email_id = text(query.get("l")), text(query.get("e"))
    if lead_id is None or email_id is None:
        bad = BadRecord("INVALID", "l (the lead) and e (the email) are both needed")
        return [Refused("email-opens", bad, original, lead_id)]
    event = event_of(
        "email-opens",
        str(uuid.uuid4()),
        lead_id,
        visit.received_at,
        email_id=email_id,
        campaign=text(query.get("c")),
        sent_at=instant(query.get("s")),
        user_agent=visit.user_agent,
        ip=visit.ip,
    )
    return [judged("email-opens", event, visit.received_at, original)]
