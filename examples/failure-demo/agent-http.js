// An agent that writes to three people by a mail API, and tries again what failed. It knows nothing of
// the engine: axios reads HTTP_PROXY by itself.
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
