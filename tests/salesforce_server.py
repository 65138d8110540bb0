"""Salesforce as a real HTTP server, by the rules of its REST API Developer Guide. What it is sent, and what it answers
by itself or as a test says, is held to Salesforce's own description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from tests.salesforce_description import answer_faults, description, record_faults, result_faults
from tests.servers import Answer, Heard, Server

_LONGEST = {"FirstName": 40, "LastName": 80, "Company": 255, "Title": 128, "Email": 80, "Phone": 40}


class Salesforce(Server):
    """Leads and Tasks by their external ids."""

    CODES = re.compile(r"/services/data/v(\d\d\.0)/(.*)")

    def __init__(self) -> None:
        super().__init__()
        description()  # before anybody waits for an answer
        self.token = "session-1"
        self.leads: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.ambiguous: set[str] = set()
        self.converted: set[str] = set()
        self.locked: set[str] = set()
        self.tokens_given = 0
        self.made = 0

    def misbehave(self, *answers: Answer | None) -> None:
        for answer in answers:
            if answer is not None and answer.status >= 400 and answer.body is not None:
                self.faults += answer_faults("PATCH", answer.status, answer.body)
        super().misbehave(*answers)

    def respond(self, heard: Heard) -> Answer:
        answer = self._respond(heard)
        if heard.path.endswith("/token"):
            return answer
        if heard.path.endswith("/query") and answer.status == 200:
            self.faults += [fault for one in answer.body["records"] for fault in record_faults("Lead", one)]
        elif "/composite/" in heard.path and answer.status == 200:
            self.faults += [fault for one in answer.body for fault in result_faults(one)]
        elif answer.status != 300:  # which is for external ids alone, and not described
            self.faults += answer_faults(heard.method, answer.status, answer.body)
        return answer

    def _respond(self, heard: Heard) -> Answer:
        if heard.path == "/services/oauth2/token":
            self.tokens_given += 1
            return Answer(200, {"access_token": self.token, "instance_url": self.url, "token_type": "Bearer"})
        if heard.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer(401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}])
        found = self.CODES.fullmatch(heard.path)
        if found is None:
            return self._no_such_address(heard)
        parts = found[2].split("/")
        if heard.method == "GET" and parts == ["query"]:
            return self._query(heard.query["q"])
        if heard.method == "PATCH" and parts[:2] == ["composite", "sobjects"] and len(parts) == 4:
            return self._collection(parts[2], parts[3], heard.json)
        if heard.method == "PATCH" and parts[:2] == ["sobjects", "Lead"] and len(parts) == 4:
            return self._one(heard, parts[2], unquote(parts[3]))
        if heard.method == "DELETE" and parts[:2] == ["sobjects", "Lead"] and len(parts) == 3:
            return self._delete(parts[2])
        return self._no_such_address(heard)

    def _no_such_address(self, heard: Heard) -> Answer:
        self.faults.append(f"no such address: {heard.method} {heard.path}")
        return Answer(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])

    def _query(self, soql: str) -> Answer:
        found = re.fullmatch(r"SELECT ([\w, ]+) FROM Lead WHERE (\w+) IN \((.*)\)", soql)
        if found is None:
            self.faults.append(f"not the SOQL of a plain query: {soql}")
            return Answer(400, [{"errorCode": "MALFORMED_QUERY", "message": soql}])
        keys = re.findall(r"'((?:[^'\\]|\\.)*)'", found[3])
        keys = [key.replace("\\'", "'").replace("\\\\", "\\") for key in keys]
        fields = found[1].split(", ")
        records = [
            {
                "attributes": {"type": "Lead", "url": f"/services/data/v62.0/sobjects/Lead/{self.leads[key]['Id']}"},
                **{name: self.leads[key].get(name) for name in fields},
            }
            for key in dict.fromkeys(self._match(self.leads, one) for one in keys)
            if key in self.leads
        ]
        return Answer(200, {"totalSize": len(records), "done": True, "records": records})

    def _collection(self, kind: str, field: str, body: Any) -> Answer:
        """The rules of "Upsert Records Using sObject Collections" in the REST API Developer Guide."""
        records = body.get("records")
        if not isinstance(records, list) or not 0 < len(records) <= 200 or not isinstance(body["allOrNone"], bool):
            self.faults.append("expected allOrNone and 1 to 200 records")
        if len({str(record.get(field)).lower() for record in records}) < len(records):
            self.faults.append(f"{field}: a record is named twice")
        for record in records:
            if record.get("attributes") != {"type": kind}:
                self.faults.append(f"attributes: expected the type of the address, {kind}")
            if "Id" in record or "id" in record:
                self.faults.append("the id field must not be set")
            if field not in record:
                self.faults.append(f"{field} is missing")
        return Answer(200, [self._upsert(kind, field, record) for record in records])

    def _upsert(self, kind: str, field: str, record: Mapping[str, Any]) -> dict[str, Any]:
        self.faults += record_faults(kind, record)
        long = [name for name, most in _LONGEST.items() if len(record.get(name) or "") > most]
        if long:
            return self._no("STRING_TOO_LONG", f"{long[0]}: data value too large", *long)
        key = record[field]
        if key in self.ambiguous:
            return self._no("DUPLICATE_EXTERNAL_ID", f"{field}: more than one record found for external id field")
        if key in self.converted:
            return self._no("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        if key in self.locked:
            self.locked.discard(key)
            return self._no("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        store = self.leads if kind == "Lead" else self.tasks
        key = self._match(store, key)
        created = key not in store
        if created and kind == "Lead" and not (record.get("LastName") and record.get("Company")):
            return self._no("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName, Company]")
        self.made += created
        prefix = "00Q" if kind == "Lead" else "00T"
        store.setdefault(key, {"Id": f"{prefix}{self.made:012d}"}).update(
            {name: value for name, value in record.items() if name != "attributes" and (created or name != field)}
        )
        return {"id": store[key]["Id"], "success": True, "errors": [], "created": created}

    @staticmethod
    def _match(store: Mapping[str, Any], key: str) -> str:
        """External ids match without regard to case."""
        return next((one for one in store if one.lower() == key.lower()), key)

    def _one(self, heard: Heard, field: str, key: str) -> Answer:
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

    def _delete(self, number: str) -> Answer:
        key = next((key for key, lead in self.leads.items() if lead["Id"] == number), None)
        if key is None:
            return Answer(404, [{"errorCode": "ENTITY_IS_DELETED", "message": "entity is deleted"}])
        del self.leads[key]
        return Answer(204)

    def _no(self, code: str, message: str, *fields: str) -> dict[str, Any]:
        return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}
