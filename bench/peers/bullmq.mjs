// BullMQ: a flow is four nested jobs, each the child of the next; a worker of its own process runs them, 100 at a time.
//   node bullmq.mjs PORT JOBS CLIENTS UNLOADED

import { fork } from "node:child_process";
import { FlowProducer, QueueEvents, Worker } from "bullmq";
import { measure, options, steps } from "./figures.mjs";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };
const queueName = "steps";

if (process.send) {
  const worker = new Worker(queueName, async () => ({}), { connection, concurrency: 100 });
  await worker.waitUntilReady();
  process.send("ready");
} else {
  const worker = fork(new URL(import.meta.url).pathname, [process.argv[2]]);
  await new Promise((resolve) => worker.once("message", resolve));
  const flows = new FlowProducer({ connection });
  const events = new QueueEvents(queueName, { connection });
  await events.waitUntilReady();
  const waiting = new Map(), early = new Set();
  events.on("completed", ({ jobId }) => {
    const told = waiting.get(jobId);
    if (told) { waiting.delete(jobId); told(); }
    else if (jobId.startsWith("root")) early.add(jobId);
  });
  let number = 0;
  const flow = (step, root) => ({
    name: `step${step}`, queueName, data: { ms: 0 },
    opts: step === steps ? { jobId: root } : undefined,
    children: step > 1 ? [flow(step - 1, root)] : undefined,
  });
  const run = () => {
    const root = `root${++number}`;
    const done = new Promise((resolve) => waiting.set(root, resolve));
    return { accepted: flows.add(flow(steps, root)), done };
  };
  await measure("BullMQ, Redis with appendfsync always", run, options());
  worker.kill();
  process.exit(0);
}
