/** The engine's own words for a blank key, after the name of its place. */
export const BLANK_KEY =
  "must not be blank: leave it out, or send 1 to 255 characters that are not only spaces";

const INVISIBLE = /^[\s\p{Cc}\u{ad}\u{200b}-\u{200f}\u{2060}\u{feff}]*$/u;

/** Whether a key has no visible character. */
export function isBlank(key: string): boolean {
  return INVISIBLE.test(key);
}
