"""HTTP in: the protocols of trackers in use, published to the input topics.

One module a protocol (`segment`, `snowplow`, `pixel`, `downloads`, `bookings`): each is pure, from a payload and the
`Visit` that brought it to a list of events and refusals. `app` is the door (keys, limits, privacy, answers),
`publisher` the edge to the broker, `server` the process.
"""
