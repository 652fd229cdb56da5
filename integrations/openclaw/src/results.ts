import type { ToolResult } from "./host.ts";

/** A result's texts are truncated for the record after this many bytes. */
const MAX_BYTES = 256 * 1024;

/** What is stored of a tool's result: its texts. Of an image or a file, only that it existed. */
export interface StoredResult {
  content: { type: string; text?: string; omitted?: string }[];
  isError?: true;
  truncated?: true;
}

export function storedResult(result: ToolResult, isError: boolean): StoredResult {
  let left = MAX_BYTES;
  let truncated = false;
  const content = result.content.map((block) => {
    const { type, text } = block as { type?: unknown; text?: unknown };
    if (type !== "text" || typeof text !== "string") {
      return { type: String(type), omitted: "not text" };
    }
    const cut = cutTo(text, left);
    truncated ||= cut.length < text.length;
    left -= Buffer.byteLength(cut);
    return { type, text: cut };
  });
  return { content, ...(isError ? { isError } : {}), ...(truncated ? { truncated } : {}) };
}

function cutTo(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  return new TextDecoder("utf-8").decode(Buffer.from(text).subarray(0, Math.max(bytes, 0))).replace(/\uFFFD$/, "");
}

/** The text of a stored result, as a model can read it. */
export function textOf(output: unknown): string {
  const { content, truncated } = (output ?? {}) as Partial<StoredResult>;
  if (!Array.isArray(content)) {
    return output === null || output === undefined ? "(no result was recorded)" : JSON.stringify(output);
  }
  const texts = content.map(({ type, text }) => text ?? `(${type}: not stored)`);
  return `${texts.join("\n")}${truncated ? "\n(truncated for the record)" : ""}`;
}

/** The host's status of a result, such as `error`, or `blocked` if the tool did not run. */
export function statusOf(result: ToolResult | undefined): string | undefined {
  const status = (result?.details as { status?: unknown } | undefined)?.status;
  return typeof status === "string" ? status : undefined;
}
