// Server-sent events over fetch. EventSource cannot send the headers that authorize a page.

import { ApiError, credentials, engine } from "./api.js";

/** Parses a stream's text into messages `{id, event, data}`. The text can arrive in any pieces. */
export function parser(onMessage) {
  let rest = "";
  return (text) => {
    rest += text;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const message = { event: "message", data: "" };
      for (const line of block.split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) message[line.slice(0, colon)] = line.slice(colon + 2);
      }
      if (message.data) onMessage(message);
    }
  };
}

/** Reads `/events` after `lastId` until the stream ends, and calls `onMessage` for each message. */
export async function readEvents(lastId, onMessage, signal) {
  const headers = { ...credentials() };
  if (lastId !== null) headers["Last-Event-ID"] = lastId;
  const answer = await fetch(`${engine}/events`, { headers, signal, cache: "no-store" });
  if (answer.status === 401) throw new ApiError("UNAUTHORIZED", "Sign in first.");
  if (!answer.ok || !answer.body) throw new ApiError("UNREACHABLE", "The engine did not open a stream of changes.");
  const parse = parser(onMessage);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parse(value);
  }
}
