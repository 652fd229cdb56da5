import { createHash } from "node:crypto";

/** JSON with sorted members: the same text for values that are equal as JSON. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`;
}

/** 128 bits of SHA-256 over length-prefixed parts. */
export function digest(...parts: string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest("hex").slice(0, 32);
}

const SECRET = /pass(word|wd|phrase)?$|secret|token$|api[-_]?key|authorization|credential|private[-_]?key|cookie/i;

/** A copy of `value` for the record, with members masked whose names look like a secret's. */
export function masked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(masked);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      SECRET.test(name) && (typeof member === "string" || typeof member === "number")
        ? "[masked]"
        : masked(member),
    ]),
  );
}
