// What a language model would do: write an answer from a mail and what is known of its sender. Put yours
// here; that it answers differently each time is no harm, since a draft is recorded and then kept.

/** The text of an answer. */
export async function write(mail, known) {
  const remembered = known.length > 0 ? ` I remember: ${known.join(" ")}` : "";
  return `Thank you for "${mail.subject}".${remembered}`;
}
