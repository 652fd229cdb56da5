// Formats JSON from its own text: no number is rounded, no member is lost, and a text that was cut is
// formatted as far as it goes.

const TOKEN = /"(?:[^"\\]|\\.)*"?|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]|[^\s"{}[\],:]+/g;

/**
 * The lines of a JSON text, each a list of `{kind, text}`; kinds: `name`, `string`, `number`,
 * `word`, `mark`.
 */
export function lines(text) {
  const tokens = text.match(TOKEN) ?? [];
  const done = [];
  let depth = 0;
  let line = [];
  const end = () => {
    done.push({ depth, parts: line });
    line = [];
  };
  tokens.forEach((token, at) => {
    const next = tokens[at + 1];
    if (token === "{" || token === "[") {
      line.push({ kind: "mark", text: token });
      if (next === "}" || next === "]") return;
      end();
      depth += 1;
    } else if (token === "}" || token === "]") {
      const empty = tokens[at - 1] === "{" || tokens[at - 1] === "[";
      if (!empty) {
        if (line.length > 0) end();
        depth = Math.max(0, depth - 1);
      }
      line.push({ kind: "mark", text: token });
    } else if (token === ",") {
      line.push({ kind: "mark", text: token });
      end();
    } else if (token === ":") {
      line.push({ kind: "mark", text: ": " });
    } else {
      line.push({ kind: kindOf(token, next), text: token });
    }
  });
  if (line.length > 0) end();
  return done;
}

function kindOf(token, next) {
  if (token.startsWith('"')) return next === ":" ? "name" : "string";
  return /^-?\d/.test(token) ? "number" : "word";
}
