// The Node side of `make bench-e2e`: an HTTP server that stores an upload, its row and its pg-boss job in one transaction, and a
// worker that renders with sharp. Uploads are not fsynced.
//
//   node pgboss_app.mjs prepare | api PORT | worker
import { createWriteStream } from "node:fs";
import { readFile, unlink } from "node:fs/promises";
import http from "node:http";
import { randomUUID } from "node:crypto";
import os from "node:os";
import { pipeline } from "node:stream/promises";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import busboy from "busboy";
import pg from "pg";
import PgBoss from "pg-boss";
import sharp from "sharp";

const [what, port] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, max: 10, supervise: what === "worker", schedule: false });
const staged = (id) => `${process.env.STAGING}/${id}`;

async function receive(request) {
  const id = randomUUID();
  const fields = {};
  const form = busboy({ headers: request.headers });
  let written;
  form.on("field", (name, value) => { fields[name] = value; });
  form.on("file", (_, stream, { filename }) => {
    fields.title = filename;
    written = pipeline(stream, createWriteStream(staged(id)));
  });
  await pipeline(request, form);
  await written;
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("INSERT INTO images (id, title, renditions) VALUES ($1, $2, $3)", [id, fields.title, fields.renditions]);
    const db = { executeSql: (text, values) => client.query(text, values) };
    await boss.send("render", { id }, { db });
    await client.query("COMMIT");
  } finally {
    client.release();
  }
  return { id, status: "queued" };
}

function serve() {
  const answer = async (request, response) => {
    const image = request.url.split("/")[2];
    const found = image && pool.query("SELECT id, status FROM images WHERE id = $1", [image]).then((all) => all.rows[0]);
    const body = JSON.stringify(await (found ?? receive(request)));
    response.writeHead(image ? 200 : 202, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    response.end(body);
  };
  http.createServer((request, response) => answer(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500, { "Content-Length": 0 }).end();
  })).listen(Number(port), "127.0.0.1");
}

const s3 = what === "worker" && new S3Client({ endpoint: process.env.AWS_ENDPOINT_URL, region: process.env.AWS_REGION, forcePathStyle: true });

async function render({ id }) {
  const found = await pool.query("UPDATE images SET status = 'processing' WHERE id = $1 RETURNING renditions", [id]);
  const source = sharp(await readFile(staged(id))).rotate();
  await Promise.all(found.rows[0].renditions.map(async ({ width, format }) => {
    const made = source.clone().resize({ width, withoutEnlargement: true }).toFormat(format, { quality: 80 });
    const Body = await made.toBuffer();
    const Key = `pgboss/${id}/w${width}.${format}`;
    await s3.send(new PutObjectCommand({ Bucket: "darkroom", Key, Body, ContentType: `image/${format}` }));
  }));
  const now = "extract(epoch FROM clock_timestamp())";
  await pool.query(`UPDATE images SET status = 'ready', finished_at = ${now} WHERE id = $1`, [id]);
  await unlink(staged(id));
}

// As many jobs in flight as the thread pool of libuv takes, and as many again that wait for Postgres or S3. `boss.work` would
// poll every half second at most; this polls every 20 ms.
async function work() {
  const limit = 4 * os.availableParallelism();
  let running = 0;
  for (;;) {
    const jobs = running < limit ? await boss.fetch("render", { batchSize: limit - running }) : [];
    for (const job of jobs) {
      running += 1;
      render(job.data).then(() => boss.complete("render", job.id), (error) => boss.fail("render", job.id, { message: String(error) }))
        .catch(console.error).finally(() => { running -= 1; });
    }
    if (jobs.length === 0) await new Promise((wake) => { setTimeout(wake, running < limit ? 20 : 2); });
  }
}

await boss.start();
if (what === "prepare") {
  await boss.createQueue("render");
  await pool.query(`CREATE TABLE images (id uuid PRIMARY KEY, title text NOT NULL, status text NOT NULL DEFAULT 'queued',
    renditions jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), finished_at float8);
    CREATE INDEX images_status ON images (status)`);
  process.exit(0);
} else if (what === "api") {
  serve();
} else {
  await work();
}
