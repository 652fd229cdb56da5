// An agent that writes to three people through a mail API, and retries what failed. It does not know about
// the engine: axios itself reads HTTP_PROXY.
import axios from "axios";

const { MAIL_API } = process.env;
const PEOPLE = ["ann@example.com", "bob@example.com", "cid@example.com"];

const send = (to) => axios.post(`${MAIL_API}/send`, { to, subject: "Hello", text: "…" }, { timeout: 1_500 });

for (const to of PEOPLE) {
  try {
    await send(to);
  } catch {
    await send(to);
  }
}
