"""What is on the wire: Avro records in two framings, dead letters, JSON lines."""
