"""Qualification events to CRMs and webhooks, and sales' answers back.

`targets` reads the file that names the targets. A record's way out: `delivery` reads it, the target's `plan` (pure:
record, mapping and `memory` in, what to write out) decides, `lanes` keeps each lead's order, the target's `deliver`
writes, `memory` remembers, `offsets` moves on. `feedback` is the way back.
"""
