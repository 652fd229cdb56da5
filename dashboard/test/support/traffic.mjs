// A morning's work of two agents: real calls of every kind, through the API and the proxy.

/** Makes the calls, and returns those that tests look for. */
export async function makeTraffic(engine, tool) {
  const ada = await engine.scope("ada", "invoices-october", [
    "Send the October invoices",
    "Inform the team that they are out",
  ]);
  const mail = { to: "kim@example.com", subject: "Invoice 2041", amount: 1250.5 };
  const sent = await engine.tool(ada, "send_email", mail, {
    outcome: "executed",
    output: { message_id: "msg-1", accepted: ["kim@example.com"] },
  });
  for (let again = 0; again < 3; again += 1) await engine.tool(ada, "send_email", mail);
  await engine.tool(ada, "send_email", { ...mail, to: "sam@example.com" }, {
    outcome: "executed",
    error: "550 no such mailbox",
  });
  const doubt = await engine.tool(ada, "charge_card", { customer: "cus_7", cents: 125_050 }, {
    outcome: "unknown",
    key: "charge-invoice-2041",
  });
  await engine.tool(ada, "post_message", { channel: "#finance", text: "Invoices are out" }, {
    goal: 1,
    outcome: "executed",
    output: { ok: true },
  });
  await engine.tool(ada, "post_message", { channel: "#sales", text: "Invoices are out" }, { goal: 1 });

  const run = { "Agent-Session": "support-bot", "Content-Type": "application/json" };
  const ticket = {
    headers: { ...run, Authorization: "Bearer tok_secret_1" },
    body: '{"title":"Printer on fire","password":"hunter2","precise":12345678901234567890}',
  };
  const first = await engine.send(`${tool.url}/tickets?api_key=topsecret`, ticket);
  const repeat = await engine.send(`${tool.url}/tickets?api_key=topsecret`, ticket);
  await engine.send(`${tool.url}/status/422`, { headers: run, body: '{"a":1}' });
  await engine.send(`${tool.url}/large`, { headers: run, body: "{}" });
  await engine.send(`${tool.url}/lost`, { headers: run, body: '{"refund":"re_9"}' });
  await engine.send(`${tool.url}/lost`, { headers: run, body: '{"refund":"re_9"}' });
  return { ada, sent, doubt, first, repeat, run };
}
