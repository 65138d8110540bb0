"""A schema registry that speaks Confluent's API.

Three answers are told apart, since they mean different things to a worker: a schema; "there is no such
schema", for sure; and no answer, upon which it waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from streams.errors import LeadstreamError

#: A schema that is missing now may be registered a moment later; until then a flood of records asks only this
#: often.
MISSING_FOR_S = 10.0
_REMEMBERED_MISSING = 1000
#: Confluent's error code; any other 404 comes from something that isn't a registry's API.
_NO_SUCH_SCHEMA = 40403


class RegistryUnavailable(LeadstreamError):
    """The registry gave no answer: nothing is known about the schema. Wait and ask again."""


class RegistryRefused(LeadstreamError):
    """The registry answered and refuses: credentials, compatibility, or an invalid schema."""


class Registry(Protocol):
    """What a codec needs of a registry."""

    def register(self, topic: str, schema: str) -> int:
        """The id of `schema` (Avro JSON) under `<topic>-value`, registered if need be."""
        ...

    def schema(self, schema_id: int) -> str | None:
        """The schema's JSON; None when there is none for sure. Raises RegistryUnavailable when that can't be
        told.
        """
        ...


class ConfluentRegistry:
    """A registry at `url`, through confluent-kafka's client; `settings` are that client's own further
    settings.
    """

    def __init__(
        self, url: str, settings: Mapping[str, Any] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # Imported here: the client pulls in an HTTP and an OAuth library, which most processes never need.
        from confluent_kafka.schema_registry import SchemaRegistryClient

        self.url = url
        self._clock = clock
        self._missing: dict[int, float] = {}
        try:
            self._client = SchemaRegistryClient({"max.retries": 1, "timeout": 5, **(settings or {}), "url": url})
        except (TypeError, ValueError) as error:
            raise RegistryRefused(f"schema registry {url}: {error}; correct its address or settings") from error

    def register(self, topic: str, schema: str) -> int:
        """Raises RegistryRefused when the schema breaks the subject's compatibility rule."""
        from confluent_kafka.schema_registry import Schema

        subject = f"{topic}-value"
        answer: int = self._ask(f"register {subject}", self._client.register_schema, subject, Schema(schema, "AVRO"))
        return answer

    def schema(self, schema_id: int) -> str | None:
        """None for an id that the registry doesn't know, and for a schema that isn't Avro in one piece."""
        since = self._missing.get(schema_id)
        if since is not None and self._clock() - since < MISSING_FOR_S:
            return None
        found = self._ask(f"look up schema {schema_id}", self._client.get_schema, schema_id)
        if found is None or found.schema_type != "AVRO" or found.references:
            if len(self._missing) >= _REMEMBERED_MISSING:
                self._missing.clear()
            self._missing[schema_id] = self._clock()
            return None
        text: str = found.schema_str
        return text

    def _ask(self, purpose: str, call: Callable[..., Any], *arguments: Any) -> Any:
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            return call(*arguments)
        except SchemaRegistryError as error:
            status = error.http_status_code
            if status == 404 and error.error_code == _NO_SUCH_SCHEMA:
                return None
            if status in (401, 403, 404, 409, 422):
                raise RegistryRefused(
                    f"schema registry {self.url} refused to {purpose}: {error.error_message} "
                    f"(HTTP {status}); "
                    "check its address, the credentials and the subject's compatibility rule"
                ) from error
            raise RegistryUnavailable(
                f"schema registry {self.url} could not {purpose}: HTTP {status}; it is asked again"
            ) from error
        except Exception as error:
            # The client lets its HTTP library's exceptions through, and which library that is changes between
            # versions.
            raise RegistryUnavailable(
                f"schema registry {self.url} can't be reached to {purpose} ({type(error).__name__}); "
                "check that it runs; it is asked again"
            ) from error
