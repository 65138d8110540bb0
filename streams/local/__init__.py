"""What runs on one machine without anything installed: an embedded real Kafka broker, and the demo."""
