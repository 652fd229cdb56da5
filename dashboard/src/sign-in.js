// The sign-in page of an engine that requires a token.

import { html, useState } from "../vendor/preact-htm.js";
import { signIn } from "./api.js";

export function SignIn({ used, signedIn }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await signIn(token);
      signedIn();
    } catch (refused) {
      setError(refused.message);
    }
  };
  return html`<main class="lonely">
    <h1>This engine requires a token</h1>
    ${used &&
    html`<p class="problem">The link that the engine printed works only once, and it was used.</p>`}
    <p>
      Open the link that the engine printed when it started, or enter the token that it was started with
      (<code>--token</code>, <code>STATE_ENGINE_TOKEN</code>).
    </p>
    <form onSubmit=${submit} class="row">
      <input
        type="password"
        aria-label="Token"
        autocomplete="off"
        required
        value=${token}
        onInput=${(event) => setToken(event.target.value)} />
      <button type="submit" class="primary">Sign in</button>
    </form>
    ${error && html`<p class="problem" role="alert">${error}</p>`}
  </main>`;
}
