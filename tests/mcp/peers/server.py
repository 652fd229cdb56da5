"""A server of PyPI's `mcp`. Each effect is one line of the file EFFECTS; it prints its port on stdout.

server.py EFFECTS stdio | json | events
"""

import asyncio
import os
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

EFFECTS, HOW = sys.argv[1:3]
server = MCPServer("peer")


def effect(what: str) -> None:
    with open(EFFECTS, "a") as file:
        file.write(what + "\n")


@server.tool()
def send(to: str, n: int) -> str:
    """Has an effect."""
    effect(f"send {to} {n}")
    return f"sent {n} to {to}"


@server.tool()
def fail() -> str:
    """Has an effect and calls it an error."""
    effect("fail")
    raise ToolError("it failed")


@server.tool()
async def slow(ctx: Context) -> str:
    """Has an effect, and answers when the file EFFECTS.go is there."""
    effect("slow")
    await ctx.report_progress(1, 2)
    while not os.path.exists(EFFECTS + ".go"):
        await asyncio.sleep(0.01)
    return "at last"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def look() -> str:
    """Says that it has no effect."""
    effect("look")
    return "seen"


@server.tool()
def test_simple_text() -> str:
    """For the conformance suite."""
    return "This is a simple text response for testing."


@server.tool()
def test_error_handling() -> str:
    """For the conformance suite."""
    raise ToolError("This tool intentionally returns an error for testing")


@server.tool()
async def test_tool_with_progress(ctx: Context) -> str:
    """For the conformance suite."""
    for progress in (0, 50, 100):
        await ctx.report_progress(progress, 100)
        await asyncio.sleep(0.05)
    return "done"


@server.prompt()
def test_simple_prompt() -> str:
    """For the conformance suite."""
    return "This is a simple prompt for testing."


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    """For the conformance suite."""
    return "This is the content of the static text resource."


if HOW == "stdio":
    server.run("stdio")
else:
    app = server.streamable_http_app(json_response=HOW == "json")
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
