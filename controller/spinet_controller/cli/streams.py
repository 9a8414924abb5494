"""The end of a stream, also after its peer's."""

import asyncio
from contextlib import suppress


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a StreamWriter and wait for its end; a connection that broke has ended as well."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
