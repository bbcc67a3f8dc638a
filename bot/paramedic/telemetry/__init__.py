"""What the SDK sends: spans and gauges each second, counters each five. Never in the way of a call."""
