// graphile-worker's side of `make bench-queue`: the same commands as shared/examples/queue_bench.rs.
//
//   node graphile.mjs URL prepare | fill N | single N | drain N CONCURRENCY AHEAD [touch] | latency N GAP_MS
//
// AHEAD above 0 is its batched mode: a local queue of that size, and completions that share transactions.
import { Logger, makeWorkerUtils, run, runMigrations } from "graphile-worker";
import pg from "pg";

const [url, what, ...rest] = process.argv.slice(2);
const [jobs, second, ahead] = rest.slice(0, 3).map(Number);
const logger = new Logger(() => (level, message) => { if (level === "error") console.error(message); });
const now = () => Number(process.hrtime.bigint()) / 1e6;
// Ends the process when all is written: a pipe takes 64 KiB at once.
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));

async function timed(work) {
  const begin = now();
  await work();
  say({ jobs, seconds: (now() - begin) / 1000 });
}

async function worker(concurrency, ahead, work) {
  const preset = ahead > 0
    ? { worker: { localQueue: { size: ahead }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } }
    : {};
  const pgPool = new pg.Pool({ connectionString: url, max: Math.max(10, Math.min(concurrency, 64)) });
  return run({ preset, pgPool, concurrency, logger, noHandleSignals: true, pollInterval: 2000, taskList: { work } });
}

if (what === "prepare") {
  await runMigrations({ connectionString: url, logger });
  const client = new pg.Client(url);
  await client.connect();
  await client.query(`CREATE TABLE touched (id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
    INSERT INTO touched SELECT generate_series(0, 999)`);
  await client.end();
  say({});
} else if (what === "fill") {
  const utils = await makeWorkerUtils({ connectionString: url, logger });
  await timed(async () => {
    for (let at = 0; at < jobs; at += 1000) {
      const batch = Array.from({ length: Math.min(1000, jobs - at) }, (_, n) => ({
        identifier: "work", payload: { number: at + n },
      }));
      await utils.addJobs(batch);
    }
  });
  await utils.release();
} else if (what === "single") {
  const utils = await makeWorkerUtils({ connectionString: url, logger });
  await timed(async () => {
    for (let number = 0; number < jobs; number += 1) await utils.addJob("work", { number });
  });
  await utils.release();
} else if (what === "drain") {
  let left = jobs;
  let ended;
  const all = new Promise((resolve) => { ended = resolve; });
  const touch = rest[3] === "touch";
  const begin = now();
  const runner = await worker(second, ahead, async (payload, helpers) => {
    if (touch) {
      await helpers.withPgClient((client) =>
        client.query("UPDATE touched SET n = n + 1 WHERE id = $1", [payload.number % 1000]));
    }
    left -= 1;
    if (left === 0) ended();
  });
  await all;
  await runner.stop();
  say({ jobs, seconds: (now() - begin) / 1000 });
} else if (what === "latency") {
  const begun = new Map();
  const runner = await worker(8, 0, async ({ number }) => { begun.set(number, now()); });
  const client = new pg.Client(url);
  await client.connect();
  const warm = 50;
  const committed = [];
  for (let number = 0; number < warm + jobs; number += 1) {
    const next = new Promise((resolve) => setTimeout(resolve, second));
    await client.query("BEGIN");
    await client.query("SELECT graphile_worker.add_job('work', $1::json)", [JSON.stringify({ number })]);
    committed.push(now());
    await client.query("COMMIT");
    await next;
  }
  while (begun.size < committed.length) await new Promise((resolve) => setTimeout(resolve, 10));
  await runner.stop();
  await client.end();
  const waits = committed.map((at, number) => Math.max(0, begun.get(number) - at)).slice(warm);
  say({ waits_ms: waits });
}
