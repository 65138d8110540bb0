"""CRMs and subscribers as real HTTP servers in a thread: they hold requests to the vendors' descriptions, keep what
they were told, and misbehave when a test says so.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from aiohttp import web

from tests.hubspot_description import check_request, problem


class Heard(NamedTuple):
    """A request as it came in; `at` is monotonic seconds."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    json: Any
    at: float


class Answer(NamedTuple):
    status: int
    body: Any = None
    headers: Mapping[str, str] = {}
    wait_s: float = 0.0


class Server:
    """An HTTP server that answers by `respond`, unless `misbehave` has answers to give first."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.faults: list[str] = []
        self.misbehaviour: deque[Answer | None] = deque()
        self.always: Answer | None = None
        self.port = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def misbehave(self, *answers: Answer | None) -> None:
        """Give these answers to the next requests; None lets one through."""
        self.misbehaviour.extend(answers)

    def respond(self, heard: Heard) -> Answer:
        return Answer(204)

    def paths(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.heard]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            decoded = await request.json() if body and request.content_type == "application/json" else None
        except ValueError:
            decoded = None
        path, headers = request.rel_url.raw_path, request.headers.copy()
        heard = Heard(request.method, path, dict(request.query), headers, body, decoded, time.monotonic())
        with self._lock:
            self.heard.append(heard)
            answer = self.misbehaviour.popleft() if self.misbehaviour else None
        answer = answer or self.always or self.respond(heard)
        if answer.wait_s:
            await asyncio.sleep(answer.wait_s)
        if answer.body is None:
            return web.Response(status=answer.status, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


S = TypeVar("S", bound=Server)


@contextmanager
def serving(server: S) -> Iterator[S]:
    """Run `server` in a thread on a free port."""
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", server._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        return runner

    def work() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
    assert not server.faults, server.faults


class Subscriber(Server):
    """A webhook's receiver: keeps the bodies."""

    def events(self) -> list[dict[str, Any]]:
        return [one.json["data"] for one in self.heard]


class HubSpot(Server):
    """Contacts by id and by address, tasks by their key; as HubSpot does, moving `lifecyclestage` back is ignored."""

    STAGES = ("", "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")

    def __init__(self, token: str = "pat-test") -> None:
        super().__init__()
        self.token = token
        self.refresh_tokens_used: list[str] = []
        self.contacts: dict[str, dict[str, str]] = {}
        self.tasks: dict[str, dict[str, str]] = {}
        self.associations: set[tuple[str, str]] = set()
        self.erased: list[str] = []
        self.history: list[tuple[str, dict[str, str]]] = []

    def by_email(self, email: str) -> tuple[str, dict[str, str]] | None:
        return next(((i, p) for i, p in self.contacts.items() if p["email"].lower() == email.lower()), None)

    def respond(self, heard: Heard) -> Answer:
        if heard.path == "/oauth/v1/token":
            return Answer(200, {"access_token": self.token, "token_type": "bearer", "expires_in": 1800})
        if heard.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer(401, problem("INVALID_AUTHENTICATION", "the token is expired or wrong"))
        if faults := check_request(heard.method, heard.path, heard.json):
            self.faults += faults
            return Answer(400, problem("VALIDATION_ERROR", "; ".join(faults)))
        path = heard.path.removeprefix("/crm/v3/objects/")
        if path == "contacts/batch/read":
            return self._read(heard.json)
        if path in ("contacts/batch/upsert", "contacts/batch/update", "tasks/batch/upsert"):
            return self._write(path.split("/")[0], path.endswith("upsert"), heard.json)
        if path == "contacts/gdpr-delete":
            self.erased.append(heard.json["objectId"])
            self.contacts.pop(heard.json["objectId"], None)
            return Answer(204)
        if heard.path.endswith("/batch/associate/default"):
            self.associations |= {(one["from"]["id"], one["to"]["id"]) for one in heard.json["inputs"]}
            return Answer(200, {"status": "COMPLETE", "results": []})
        if found := re.fullmatch(r"contacts/(\w+)", path):
            contact = self.contacts.get(found[1])
            return Answer(404) if contact is None else Answer(200, {"id": found[1], "properties": contact})
        self.faults.append(f"no such address: {heard.method} {heard.path}")
        return Answer(404)

    def _read(self, body: Any) -> Answer:
        results, missing = [], []
        for one in body["inputs"]:
            found = self.by_email(one["id"]) if body.get("idProperty") == "email" else None
            if body.get("idProperty") is None and one["id"] in self.contacts:
                found = (one["id"], self.contacts[one["id"]])
            if found is None:
                missing.append(one["id"])
            else:
                results.append(
                    {
                        "id": found[0],
                        "properties": {name: found[1].get(name) for name in ("email", *body["properties"])},
                    }
                )
        errors = [{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "x", "context": {"ids": missing}}]
        answer: dict[str, Any] = {"status": "COMPLETE", "results": results}
        return Answer(207, {**answer, "numErrors": 1, "errors": errors}) if missing else Answer(200, answer)

    def _write(self, kind: str, upsert: bool, body: Any) -> Answer:
        results, errors = [], []
        keys = [one["id"].lower() for one in body["inputs"]]
        if len(set(keys)) < len(keys):
            return Answer(400, problem("VALIDATION_ERROR", "Duplicate ids found in batch input"))
        if any("@invalid" in key for key in keys):
            return Answer(400, problem("VALIDATION_ERROR", "Property values were not valid: email"))
        for one in body["inputs"]:
            values = one["properties"]
            if "moody" in one["id"]:
                category = "RATE_LIMITS" if "passing" in one["id"] else "VALIDATION_ERROR"
                errors.append({"status": "error", "category": category, "message": "this one not", "context": {}})
                continue
            store = self.contacts if kind == "contacts" else self.tasks
            number = self._find(kind, one, upsert)
            if number is None:
                errors.append({"status": "error", "category": "OBJECT_NOT_FOUND", "message": "none", "context": {}})
                continue
            self._set(store.setdefault(number, {}), values)
            self.history.append((one["id"], dict(values)))
            trace = {"objectWriteTraceId": one["objectWriteTraceId"]} if "objectWriteTraceId" in one else {}
            results.append({"id": number, "properties": dict(store[number]), **trace})
        answer: dict[str, Any] = {"status": "COMPLETE", "results": results}
        return Answer(207, {**answer, "numErrors": len(errors), "errors": errors}) if errors else Answer(200, answer)

    def _find(self, kind: str, one: Any, upsert: bool) -> str | None:
        if kind == "tasks":
            known = next((i for i, p in self.tasks.items() if p["leadstream_event_id"] == one["id"]), None)
            return known or f"9{len(self.tasks) + 1:03d}"
        if not upsert:
            return one["id"] if one["id"] in self.contacts else None
        found = self.by_email(one["id"])
        return found[0] if found else str(100 + len(self.contacts) + len(self.erased))

    def _set(self, record: dict[str, str], values: Mapping[str, str]) -> None:
        current, wanted = record.get("lifecyclestage") or "", values.get("lifecyclestage")
        record.update(values)
        if wanted and self.STAGES.index(wanted) < self.STAGES.index(current):
            record["lifecyclestage"] = current


class Salesforce(Server):
    """Leads and Tasks by their external ids."""

    CODES = re.compile(r"/services/data/v(\d\d\.0)/(.*)")

    def __init__(self) -> None:
        super().__init__()
        self.token = "session-1"
        self.leads: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.ambiguous: set[str] = set()
        self.converted: set[str] = set()
        self.locked: set[str] = set()
        self.tokens_given = 0

    def respond(self, heard: Heard) -> Answer:
        if heard.path == "/services/oauth2/token":
            self.tokens_given += 1
            return Answer(200, {"access_token": self.token, "instance_url": self.url, "token_type": "Bearer"})
        if heard.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer(401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}])
        found = self.CODES.fullmatch(heard.path)
        if found is None:
            self.faults.append(f"no such address: {heard.method} {heard.path}")
            return Answer(404)
        parts = found[2].split("/")
        if heard.method == "GET" and parts == ["query"]:
            return self._query(heard.query["q"])
        if heard.method == "PATCH" and parts[:2] == ["composite", "sobjects"] and len(parts) == 4:
            return self._collection(parts[2], parts[3], heard.json)
        if parts[:2] == ["sobjects", "Lead"] and len(parts) == 4:
            return self._one(heard, parts[2], unquote(parts[3]))
        self.faults.append(f"no such address: {heard.method} {heard.path}")
        return Answer(404)

    def _query(self, soql: str) -> Answer:
        found = re.fullmatch(r"SELECT ([\w, ]+) FROM Lead WHERE (\w+) IN \((.*)\)", soql)
        if found is None:
            self.faults.append(f"not the SOQL of a plain query: {soql}")
            return Answer(400, [{"errorCode": "MALFORMED_QUERY", "message": soql}])
        keys = re.findall(r"'((?:[^'\\]|\\.)*)'", found[3])
        keys = [key.replace("\\'", "'").replace("\\\\", "\\") for key in keys]
        fields = found[1].split(", ")
        records = [
            {"attributes": {"type": "Lead"}, **{name: self.leads[key].get(name) for name in fields}}
            for key in keys
            if key in self.leads
        ]
        return Answer(200, {"totalSize": len(records), "done": True, "records": records})

    def _collection(self, kind: str, field: str, body: Any) -> Answer:
        """The rules of "Upsert Records Using sObject Collections" in the REST API Developer Guide."""
        records = body.get("records")
        if not isinstance(records, list) or not 0 < len(records) <= 200 or not isinstance(body["allOrNone"], bool):
            self.faults.append("expected allOrNone and 1 to 200 records")
        for record in records:
            if record.get("attributes") != {"type": kind}:
                self.faults.append(f"attributes: expected the type of the address, {kind}")
            if "Id" in record or "id" in record:
                self.faults.append("the id field must not be set")
            if field not in record:
                self.faults.append(f"{field} is missing")
        return Answer(200, [self._upsert(kind, field, record) for record in records])

    def _upsert(self, kind: str, field: str, record: Mapping[str, Any]) -> dict[str, Any]:
        key = record[field]
        if key in self.ambiguous:
            return self._no("DUPLICATE_EXTERNAL_ID", f"{field}: more than one record found for external id field")
        if key in self.converted:
            return self._no("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        if key in self.locked:
            self.locked.discard(key)
            return self._no("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        store = self.leads if kind == "Lead" else self.tasks
        created = key not in store
        if created and kind == "Lead" and not (record.get("LastName") and record.get("Company")):
            return self._no("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName, Company]")
        prefix = "00Q" if kind == "Lead" else "00T"
        store.setdefault(key, {"Id": f"{prefix}{len(store):012d}"}).update(
            {name: value for name, value in record.items() if name != "attributes"}
        )
        return {"id": store[key]["Id"], "success": True, "errors": [], "created": created}

    def _one(self, heard: Heard, field: str, key: str) -> Answer:
        if heard.method == "DELETE":
            return Answer(204 if self.leads.pop(key, None) else 404)
        if field in heard.json or "attributes" in heard.json:
            self.faults.append(f"{field} must not be in the body as well")
        if key in self.ambiguous:
            base = f"/services/data/v62.0/sobjects/Lead/{field}"
            return Answer(300, [f"{base}/00Q1", f"{base}/00Q2"])
        result = self._upsert("Lead", field, {**heard.json, field: key})
        if result["success"]:
            return Answer(201 if result["created"] else 200, result)
        error = result["errors"][0]
        return Answer(400, [{"errorCode": error["statusCode"], "message": error["message"], "fields": []}])

    def _no(self, code: str, message: str) -> dict[str, Any]:
        return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}
