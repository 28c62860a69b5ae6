// pg-boss' side of `make bench-queue`: fetch and complete in batches, its fastest way; its `work` polls.
//
//   node pgboss.mjs URL prepare | fill N | single N | drain N LOOPS BATCH
import PgBoss from "pg-boss";

const [url, what, ...rest] = process.argv.slice(2);
const [jobs, loops, batch] = rest.map(Number);
const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false, max: 20 });
await boss.start();
const begin = process.hrtime.bigint();
const seconds = () => Number(process.hrtime.bigint() - begin) / 1e9;

if (what === "prepare") {
  await boss.createQueue("work");
} else if (what === "fill") {
  for (let at = 0; at < jobs; at += 1000) {
    const length = Math.min(1000, jobs - at);
    await boss.insert(Array.from({ length }, (_, n) => ({ name: "work", data: { number: at + n } })));
  }
} else if (what === "single") {
  for (let number = 0; number < jobs; number += 1) await boss.send("work", { number });
} else if (what === "drain") {
  const loop = async () => {
    for (;;) {
      const claimed = await boss.fetch("work", { batchSize: batch });
      if (claimed.length === 0) return;
      await boss.complete("work", claimed.map((job) => job.id));
    }
  };
  await Promise.all(Array.from({ length: loops }, loop));
}
console.log(JSON.stringify({ jobs, seconds: seconds() }));
process.exit(0);
