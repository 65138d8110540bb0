"""The messages of Segment's protocol as they are sent: their form, and what they say of consent."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from streams.collector.events import BadBody
from streams.collector.lenient import read_leniently
from streams.collector.values import mapping

#: Segment's own limit of messages in a batch.
MAX_BATCH: Final = 2_500


class Message(msgspec.Struct, rename="camel", gc=False):
    """One message. Everything may be anything, and is looked at when it is needed."""

    type: Any = None
    event: Any = None
    name: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    previous_id: Any = None
    group_id: Any = None
    message_id: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    properties: Any = None
    traits: Any = None
    context: Any = None
    merge_properties: Any = None
    write_key: Any = None


class Batch(msgspec.Struct, rename="camel"):
    """A batch; its messages stay bytes, so that each can be refused by itself, with its bytes."""

    batch: list[msgspec.Raw]
    sent_at: Any = None
    context: Any = None
    write_key: Any = None


_MESSAGE: Final = msgspec.json.Decoder(Message)
_BATCH: Final = msgspec.json.Decoder(Batch)


def decode_message(body: bytes) -> Message:
    """The message in a body. Raises BadBody."""
    message: Message = _decoded(_MESSAGE, body)
    return message


def decode_batch(body: bytes) -> Batch:
    """The batch in a body. Raises BadBody, also for more than MAX_BATCH messages."""
    batch: Batch = _decoded(_BATCH, body)
    if len(batch.batch) > MAX_BATCH:
        raise BadBody(f"the batch has {len(batch.batch):,} messages; at most {MAX_BATCH:,} are taken")
    return batch


def consent_denied(context: Any, category: str | None) -> bool:
    """Whether a message's context says that the person denied `category`: Segment's `consent.categoryPreferences`, or
    RudderStack's `consentManagement.deniedConsentIds`.
    """
    if category is None:
        return False
    context = mapping(context)
    denied = mapping(context.get("consentManagement")).get("deniedConsentIds")
    if isinstance(denied, list) and category in denied:
        return True
    return mapping(mapping(context.get("consent")).get("categoryPreferences")).get(category) is False


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    try:
        return read_leniently(decoder, body)
    except msgspec.ValidationError as error:
        raise BadBody(str(error).replace("`", "")) from None
    except msgspec.DecodeError as error:
        raise BadBody(f"not JSON: {error}") from None
    except UnicodeDecodeError:
        raise BadBody("not JSON: the text is not UTF-8") from None
    except RecursionError:
        raise BadBody("not JSON that anyone meant: nested too deeply") from None
