"""The guardian: the smallest process. It keeps the master alive, holds what must outlive it, and reaps.

Standard library only, no asyncio, and of pypm only what is as small. It never decides about agents.
"""
