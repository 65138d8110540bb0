"""A model file with nothing in it that can be left out."""

SMALL = """\
model: small-1
groups:
  web: {half_life: 30d}
interest:
  - {name: page, on: page_view, group: web, points: 1}
matrix:
  fit: {high: 40}
  interest: {warm: 20, hot: 60}
  cells: {high: [NONE, NURTURE, SALES], low: [NONE, NONE, LOW_TOUCH]}
mql: {interest: 20, fit: 40}
sql: {paths: [{name: hot, interest: 60, fit: 40}]}
"""
