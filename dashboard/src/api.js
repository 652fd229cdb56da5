// Calls of the state API. The engine is the one that served this module, even for a page that is opened
// as a file.

export const engine = new URL(import.meta.url).origin;
export const isFile = location.protocol === "file:";

const PAGE_KEY = "state-engine-page";

/** The token of a page that is opened as a file. Such a page has neither a cookie nor its own storage. */
let bearer = null;

/** The engine refused a call, or did not answer (`code` "UNREACHABLE"). */
export class ApiError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function stored() {
  try {
    return localStorage.getItem(PAGE_KEY);
  } catch {
    return null;
  }
}

/** Stores the page key that a sign-in returned. */
export function keepPageKey(key) {
  localStorage.setItem(PAGE_KEY, key);
}

/** The headers that authorize a request. */
export function credentials() {
  const headers = {};
  const key = stored();
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  else if (key) headers["State-Engine-Page"] = key;
  return headers;
}

/** Signs this browser in with the engine's token. */
export async function signIn(token) {
  const answer = await send("/sign-in", { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new ApiError("UNAUTHORIZED", "This is not the engine's token.");
  if (isFile) bearer = token;
  else keepPageKey((await answer.json()).page_key);
}

async function send(path, options) {
  try {
    return await fetch(engine + path, options);
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ApiError("UNREACHABLE", "The engine does not answer.");
  }
}

/** The text of the answer to a call, be it a result or an error. */
export async function rpcText(method, params, signal) {
  const answer = await send("/", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...credentials() },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    signal,
  });
  return answer.text();
}

/** Controls of C1, the property Bidi_Control of Unicode, and what breaks lines or is not seen. */
const DECEPTIVE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** A JSON text in whose strings a reader sees what would change how they look. */
function visible(text) {
  return text.replace(DECEPTIVE, (found) => `\\\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The result of a call; throws `ApiError`. */
export async function rpc(method, params = {}, signal) {
  const text = await rpcText(method, params, signal);
  let answer;
  try {
    answer = JSON.parse(visible(text));
  } catch {
    throw new ApiError("UNREADABLE", "The engine's answer is not valid JSON.");
  }
  if (answer.error) throw new ApiError(answer.error.data?.code ?? "", answer.error.message);
  return answer.result;
}

/** `/readyz`: whether the engine accepts calls, how many are in doubt, and where the proxy listens. */
export async function readiness() {
  return (await send("/readyz", {})).json();
}
