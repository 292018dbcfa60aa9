// Restate: a flow is one call of a service with four ctx.run steps; the service is a process of its own.
//   node restate.mjs INGRESS_PORT JOBS CLIENTS UNLOADED ADMIN_PORT

import { fork } from "node:child_process";
import http from "node:http";
import { measure, options, steps } from "./figures.mjs";

Promise.withResolvers ??= function () { // the SDK needs it, and Node 20 has none
  let resolve, reject;
  const promise = new this((a, b) => { resolve = a; reject = b; });
  return { promise, resolve, reject };
};

if (process.send) {
  const restate = await import("@restatedev/restate-sdk");
  const service = restate.service({
    name: "flow",
    handlers: {
      run: async (ctx) => {
        for (let step = 1; step <= steps; step++) await ctx.run(`step${step}`, () => ({}));
        return {};
      },
    },
  });
  const port = await restate.serve({ services: [service], port: 0 });
  process.send(port);
} else {
  const [ingress, , , , admin] = process.argv.slice(2).map(Number);
  const service = fork(new URL(import.meta.url).pathname, [String(ingress)], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const port = await new Promise((resolve) => service.once("message", resolve));
  const registered = await fetch(`http://127.0.0.1:${admin}/deployments`, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ uri: `http://127.0.0.1:${port}` }),
  });
  if (!registered.ok) throw new Error(`Restate does not take the service: ${registered.status} ${await registered.text()}`);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256 });
  const call = () => new Promise((resolve, reject) => {
    const request = http.request(
      { host: "127.0.0.1", port: ingress, path: "/flow/run", method: "POST", agent, headers: { "content-type": "application/json" } },
      (answer) => {
        answer.resume();
        answer.on("end", () => answer.statusCode === 200 ? resolve() : reject(new Error(`status ${answer.statusCode}`)));
      });
    request.on("error", reject);
    request.end("{}");
  });
  // The call returns when the flow has ended, so as many are under way as there are clients.
  const run = () => { const done = call(); return { accepted: done, done }; };
  await measure("Restate", run, options());
  service.kill();
  process.exit(0);
}
