// The search line: `tool:send_email state:in_doubt after:1h some text`.

const STATES = ["pending", "running", "completed", "failed", "cancelled", "in_doubt"];
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 };

/** A point in time: `15m` is 15 minutes before `now`; else a date. Null if it is neither. */
function moment(text, now) {
  const ago = /^(\d+)([smhd])$/.exec(text);
  const date = ago ? new Date(now - ago[1] * UNITS[ago[2]] * 1000) : new Date(text);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

/**
 * The params of `search_executions` for a search line, and the problems in it.
 * @returns {{params: object, problems: string[]}}
 */
export function parse(line, now = Date.now()) {
  const params = {};
  const problems = [];
  const words = [];
  for (const [, key, quoted, bare] of line.matchAll(/(?:([a-z]+):)?(?:"([^"]*)"|(\S+))/gi)) {
    const value = quoted ?? bare;
    const problem = key === undefined ? undefined : apply(key.toLowerCase(), value, params, now);
    if (key === undefined) words.push(value);
    else if (problem === null) words.push(`${key}:${value}`);
    else if (problem) problems.push(problem);
  }
  if (words.length > 0) params.text = words.join(" ").slice(0, 255);
  return { params, problems };
}

/** Adds one `key:value` to `params`. Returns a problem in words, or null if the key is unknown. */
function apply(key, value, params, now) {
  switch (key) {
    case "tool":
      params.tool = value.slice(0, 255);
      return undefined;
    case "state": {
      const state = value.toLowerCase().replace("-", "_");
      if (!STATES.includes(state)) return `state: must be one of ${STATES.join(", ")}`;
      params.status = state;
      return undefined;
    }
    case "via":
      if (value !== "api" && value !== "proxy") return "via: must be api or proxy";
      params.origin = value;
      return undefined;
    case "is":
      if (value !== "duplicated") return "is: must be duplicated";
      params.duplicated = true;
      return undefined;
    case "after":
    case "before": {
      const at = moment(value, now);
      if (at === null) return `${key}: must be 15m, 2h, 7d or a date such as 2026-01-31T12:00`;
      params[key] = at;
      return undefined;
    }
    case "session":
    case "goal":
    case "user":
      if (!UUID.test(value)) return `${key}: must be an id`;
      params[`${key}_id`] = value;
      return undefined;
    default:
      return null;
  }
}

/** The line with `key:` set to `value`, or without it. */
export function withKey(line, key, value) {
  const others = line.replace(new RegExp(`(^|\\s)${key}:\\S*`, "gi"), " ").trim();
  return [value && `${key}:${value}`, others].filter(Boolean).join(" ").replace(/\s+/g, " ");
}
