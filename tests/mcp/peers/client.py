"""A client of PyPI's `mcp`: calls tools one after another and prints each result as a JSON line.

client.py MODE URL|COMMAND... :: NAME=ARGUMENTS...
MODE is `legacy` (2025-11-25), `auto`, or a version of the stateless protocol.
"""

import asyncio
import json
import sys

from mcp import Client, StdioServerParameters


async def main() -> None:
    mode, *rest = sys.argv[1:]
    where, calls = rest[: rest.index("::")], rest[rest.index("::") + 1 :]
    server = where[0]
    if not server.startswith("http://"):
        server = StdioServerParameters(command=where[0], args=where[1:])
    progress = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    async with Client(server, mode=mode) as client:
        print(json.dumps({"version": client.protocol_version}), flush=True)
        await client.list_tools()
        for call in calls:
            name, _, arguments = call.partition("=")
            result = await client.call_tool(
                name, json.loads(arguments or "{}"), progress_callback=on_progress
            )
            print(
                json.dumps(
                    {
                        "text": "".join(getattr(part, "text", "") for part in result.content),
                        "isError": bool(result.is_error),
                        "progress": progress,
                    }
                ),
                flush=True,
            )
            progress = []


asyncio.run(main())
