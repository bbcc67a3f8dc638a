"""What decides, without a lock, a clock, a thread or a network: values in, values out."""
