"""Calls whose answer comes in chunks."""
