// As call.py, with Node's fetch: call.mjs SECONDS URL FIRST fresh|same. The proxy comes from HTTP_PROXY.
const [seconds, url, first, numbers] = process.argv.slice(2);
const took = [];
let number = Number(first);
const end = performance.now() + 1000 * Number(seconds);
while (!took.length || performance.now() < end) {
  const body = `{"call":${number},"pad":"${"x".repeat(480)}"}`;
  const begin = performance.now();
  const answer = await fetch(url, { method: "POST", body });
  const text = await answer.text();
  took.push((performance.now() - begin) * 1000);
  if (answer.status !== 200 || text !== body) throw new Error(`${answer.status} ${text}`);
  if (numbers === "fresh") number++;
}
console.log(JSON.stringify(took));
