"""Decisions as values: no clock, no files, no asyncio, no logging (standard library and msgspec only)."""
