// Numbers and times in a form for people.

const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

/** Microseconds since the epoch. Date has only milliseconds. */
export function micros(time) {
  const fraction = /\.(\d{1,6})/.exec(time)?.[1] ?? "";
  return Math.floor(Date.parse(time) / 1000) * 1_000_000 + Number(fraction.padEnd(6, "0"));
}

/** A span of `ms`: `350 µs`, `12 ms`, `3.4 s`, `5 min`, `2.5 h`, `3 d`. */
export function span(ms) {
  const shown = (value, unit) => `${value < 10 ? Number(value.toFixed(1)) : Math.round(value)} ${unit}`;
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return shown(ms, "ms");
  if (ms < 60_000) return shown(ms / 1000, "s");
  if (ms < 3_600_000) return shown(ms / 60_000, "min");
  if (ms < 86_400_000) return shown(ms / 3_600_000, "h");
  return shown(ms / 86_400_000, "d");
}

/** The time between two timestamps, in ms. */
export function between(from, to) {
  return (micros(to) - micros(from)) / 1000;
}

export function ago(time, now) {
  const ms = now - Date.parse(time);
  return ms < 2000 ? "now" : `${span(ms)} ago`;
}

/** `14:03:07`, with milliseconds if `millis` is set. */
export function timeOfDay(time, { millis = false } = {}) {
  const text = clock.format(new Date(time));
  const fraction = /\.(\d{3})/.exec(time)?.[1] ?? "000";
  return millis ? `${text}.${fraction}` : text;
}

export function day(time) {
  return date.format(new Date(time));
}

export function moment(time) {
  return `${day(time)}, ${timeOfDay(time, { millis: true })}`;
}

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = size;
  let unit = -1;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function count(n) {
  return n.toLocaleString("en");
}

/** `1 call`, `2 calls`. */
export function plural(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** The end of an id, which distinguishes ids; the beginning is a time. */
export function shortId(id) {
  return id.slice(-8);
}

export function sum(counts) {
  return Object.values(counts).reduce((all, n) => all + n, 0);
}
