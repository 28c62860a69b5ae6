// sharp's side of `make bench-render`, with its own defaults. Same argument and answer as worker/examples/render_bench.rs,
// but for `widths` and `formats` in the recipe's place, and `chained`: the largest size is decoded once and the others made
// from it, which a caller must think of.

import { readFileSync, writeFileSync } from "node:fs";
import sharp from "sharp";

const { files, sizes, formats, options, chained, threads, seconds, out } = JSON.parse(process.argv[2]);
sharp.cache(false);
if (threads === 1) sharp.concurrency(1);
const sources = files.map((file) => readFileSync(file));

async function each(source, write) {
  let input = sharp(source).autoOrient();
  if (chained) {
    const { data, info } = await input.resize(...sizes[0]).raw().toBuffer({ resolveWithObject: true });
    input = sharp(data, { raw: info });
  }
  for (const size of sizes) {
    for (const format of formats) {
      const picture = chained && size === sizes[0] ? input.clone() : input.clone().resize(...size);
      write(`${size[0]}.${format}`, await picture.toFormat(format, options ?? {}).toBuffer());
    }
  }
}

if (out) {
  for (const [index, source] of sources.entries()) {
    await each(source, (name, bytes) => writeFileSync(`${out}/${index}.${name}`, bytes));
  }
}
const [start, before] = [performance.now(), process.cpuUsage()];
let [next, images] = [0, 0];
async function work() {
  while ((performance.now() - start) / 1000 < seconds || next % sources.length !== 0) {
    await each(sources[next++ % sources.length], () => {});
    images++;
  }
}
// libvips works on a picture in several threads too; with as many again in flight none of them waits.
if (seconds > 0) await Promise.all(Array.from({ length: threads === 1 ? 1 : 2 * threads }, work));
const { user, system } = process.cpuUsage(before);
const memory = Number(readFileSync("/proc/self/status", "utf8").match(/VmHWM:\s+(\d+)/)[1]);
const elapsed = (performance.now() - start) / 1000;
console.log(JSON.stringify({ images, seconds: elapsed, processor: (user + system) / 1e6, memory }));
