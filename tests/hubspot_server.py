"""HubSpot as a real HTTP server: it holds requests to HubSpot's own description and keeps contacts and tasks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from streams.relay.hubspot.properties import wanted_properties
from streams.relay.settings import HubspotTarget, SecretAt
from tests.hubspot_description import check_request, problem
from tests.servers import Answer, Heard, Server

_CONTACT = "email firstname lastname phone company jobtitle country lifecyclestage hs_lead_status"
_TASK = "hs_timestamp hs_task_subject hs_task_body hs_task_type hs_task_priority hubspot_owner_id"
#: The properties of HubSpot's own that the relay writes to.
_HUBSPOTS_OWN = {"contacts": _CONTACT.split(), "tasks": _TASK.split()}


class HubSpot(Server):
    """Contacts by id and by address, tasks by their key; as HubSpot does, moving `lifecyclestage` back is ignored."""

    STAGES = ("", "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")

    def __init__(self, token: str = "pat-test", prepared: bool = True) -> None:
        """`prepared`: somebody has made the properties that the relay needs by default."""
        super().__init__()
        self.token = token
        self.properties: dict[str, dict[str, dict[str, Any]]] = {
            kind: {name: {"name": name, "type": "string"} for name in names} for kind, names in _HUBSPOTS_OWN.items()
        }
        if prepared:
            target = HubspotTarget(type="hubspot", token=SecretAt(env="X"))
            for kind, wanted in wanted_properties(target).items():
                self.properties[kind] |= {one["name"]: one for one in wanted}
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
        if found := re.fullmatch(r"/crm/v3/properties/(contacts|tasks)(/batch/create)?", heard.path):
            return self._properties(found[1], heard)
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

    def _properties(self, kind: str, heard: Heard) -> Answer:
        if heard.method == "GET":
            return Answer(200, {"results": list(self.properties[kind].values())})
        self.properties[kind] |= {one["name"]: one for one in heard.json["inputs"]}
        return Answer(201, {"status": "COMPLETE", "results": heard.json["inputs"]})

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
        unknown = {name for one in body["inputs"] for name in one["properties"]} - self.properties[kind].keys()
        if unknown:
            words = ", ".join(f'Property "{name}" does not exist: PROPERTY_DOESNT_EXIST' for name in sorted(unknown))
            return Answer(400, problem("VALIDATION_ERROR", f"Property values were not valid: {words}"))
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
