/** What to pass instead of a value that JSON cannot carry. */
const INSTEAD = "pass plain objects, arrays, strings, finite numbers, booleans and null";

/**
 * Refuses a value that JSON would change or leave out: two different inputs must not become one.
 * `undefined` may be left out as a member. An object with `toJSON`, such as a `Date`, is what that
 * returns. `place` names the value in the error.
 *
 * @throws {TypeError} It has a value that JSON cannot carry. The message says where.
 */
export function assertJson(value: unknown, place: string): void {
  if (value !== undefined) check(value, place, new Set());
}

function check(value: unknown, place: string, around: Set<object>): void {
  switch (typeof value) {
    case "string":
    case "boolean":
      return;
    case "number":
      if (Number.isFinite(value) && !Object.is(value, -0)) return;
      throw refusal(place, Object.is(value, -0) ? "-0" : String(value));
    case "object":
      if (value === null) return;
      if (around.has(value)) throw refusal(place, "an object that contains itself");
      around.add(value);
      checkObject(value, place, around);
      around.delete(value);
      return;
    default:
      throw refusal(place, typeof value === "undefined" ? "undefined" : `a ${typeof value}`);
  }
}

function checkObject(value: object, place: string, around: Set<object>): void {
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") {
    const json: unknown = toJSON.call(value, "");
    // An invalid date.
    if (value instanceof Date && json === null) throw refusal(place, "an invalid date");
    if (json !== value) return check(json, place, around);
  }
  const isList = Array.isArray(value);
  if (!isList && !isPlain(value)) throw refusal(place, `a ${value.constructor?.name || "class instance"}`);
  const members = Object.getOwnPropertyDescriptors(value) as Record<PropertyKey, PropertyDescriptor>;
  let entries = 0;
  for (const name of Reflect.ownKeys(members)) {
    const member = members[name];
    if (member?.enumerable !== true) continue;
    const at = `${place}[${typeof name === "symbol" ? String(name) : JSON.stringify(name)}]`;
    if (typeof name === "symbol") throw refusal(at, "a member that is named by a symbol");
    if (member.get || member.set) throw refusal(at, "a getter or setter");
    entries += 1;
    if (isList || member.value !== undefined) check(member.value, at, around);
  }
  // Holes, or members beside the elements.
  if (isList && entries !== value.length) throw refusal(place, "an array with holes or names");
}

/** Whether it is an object without a class, of this realm or another one. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function refusal(place: string, what: string): TypeError {
  return new TypeError(`${place} is ${what}, which JSON cannot carry: ${INSTEAD}`);
}
