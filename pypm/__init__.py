"""pypm: a process manager in pure Python for long-running AI agents."""

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pypm.client.asynchronous import AsyncClient
    from pypm.client.client import Client


def __getattr__(name: str) -> object:
    # An agent that imports pypm.agent shall not pay for the Python interface.
    if name == "Client":
        from pypm.client.client import Client

        return Client
    if name == "AsyncClient":
        from pypm.client.asynchronous import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
