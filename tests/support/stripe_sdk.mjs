// Signs events with Stripe's own SDK: for each line of JSON {"payload", "secret", "timestamp"?} on stdin, a line
// {"header", "api_version"} on stdout. The SDK must take what it signed for an event, or it says why not.
import { createInterface } from 'node:readline';

const { default: Stripe } = await import(`${process.argv[2]}/esm/stripe.esm.node.js`);
const stripe = new Stripe('sk_test_of_no_use');
for await (const line of createInterface({ input: process.stdin })) {
  const { payload, secret, timestamp } = JSON.parse(line);
  const header = stripe.webhooks.generateTestHeaderString({ payload, secret, ...(timestamp ? { timestamp } : {}) });
  let problem = null;
  try {
    stripe.webhooks.constructEvent(payload, header, secret, timestamp ? 1e9 : 300);
  } catch (error) {
    problem = String(error);
  }
  console.log(JSON.stringify({ header, problem, api_version: Stripe.API_VERSION ?? null }));
}
