"""The model: its values, its file, and what can be said of it without leads.

`values` is what the core works with. `loading` makes it from a file's text, with `nodes` (YAML with lines), `sections`,
`rule_loading` and `stage_loading`; `conditions` are what `when:` compiles to. `check` looks for contradictions and
finds the shortest `ways` to MQL and SQL.
"""
