// What every peer measures alike: flows of four steps one at a time, then many at once.

export const steps = 4;

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

/// `run()` submits a flow; what it returns has `accepted` and `done`, promises. Prints one line of JSON.
export async function measure(name, run, { jobs, clients, unloaded }) {
  for (let i = 0; i < 20; i++) await run().done; // warm
  const times = [];
  for (let i = 0; i < unloaded; i++) {
    const begin = performance.now();
    await run().done;
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  const all = [];
  let next = 0, submitted = 0;
  const begin = performance.now();
  const client = async () => {
    while (next++ < jobs) {
      const flow = run();
      all.push(flow.done);
      await flow.accepted;
      submitted = performance.now();
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  await Promise.all(all);
  const seconds = (performance.now() - begin) / 1000;
  console.log(JSON.stringify({
    name, jobs, clients,
    flows_per_s: Math.round(jobs / seconds),
    submits_per_s: Math.round(jobs / ((submitted - begin) / 1000)),
    unloaded_p50_ms: +percentile(times, 0.5).toFixed(2),
    unloaded_p99_ms: +percentile(times, 0.99).toFixed(2),
  }));
}

export const options = () => {
  const [jobs, clients, unloaded] = process.argv.slice(3).map(Number);
  return { jobs, clients, unloaded };
};
