"""Qualification events to CRMs and webhooks, and sales' answers back.

A record's way out: `delivery` reads it, the target's `plan` (pure: record, mapping and `memory` in, what to write out)
decides, `lanes` keeps each lead's order, the target's `deliver` writes, `memory` remembers, `offsets` moves on.

- The targets file: `targets` reads it by `sections`; `settings` is what may stand there.
- From and to Kafka: `source` reads as a member of a group, `merge` puts topics into one order, `intake` decodes;
  `outbox` writes.
- What to write: `facts` and `handoff` say what a record means, `crm` plans for both CRMs. `target` is the interface of
  `webhook`, `hubspot` and `salesforce`, and of a new kind of target; `building` makes them from settings and `secrets`.
- Requests: `exchange` sends and judges answers, `addresses` refuses private networks, `credentials` adds tokens.
- When to write: `delivery`, with `lanes`, `breaker` and `offsets`, in `surroundings` that all targets share; what
  becomes of an item after that: `settlement`.
- Commands: `run` with `serving`; `dryrun`; `preparing` for what a CRM must have before.
- The way back: `feedback`.
"""
