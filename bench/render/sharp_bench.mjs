// sharp's side of `make bench-render`, with its own defaults. Same argument and answer as crates/pipeline/examples/render_bench.rs,
// but for `widths` and `formats` in the recipe's place, and `chained`: the largest size is decoded once and the others made
// from it, which a caller must think of. `alone`: one picture at a time, all of its renditions at once. `step`: only decode,
// resize or encode it, each from pixels.

import { readFileSync, writeFileSync } from "node:fs";
import sharp from "sharp";

const { files, sizes, formats, options, chained, alone, step, threads, seconds, out } = JSON.parse(process.argv[2]);
sharp.cache(false);
if (threads === 1) sharp.concurrency(1);
const sources = files.map((file) => readFileSync(file));

async function each(source, write) {
  let input = sharp(source).autoOrient();
  if (chained) {
    const { data, info } = await input.resize(...sizes[0]).raw().toBuffer({ resolveWithObject: true });
    input = sharp(data, { raw: info });
  }
  const all = [];
  for (const size of sizes) {
    for (const format of formats) {
      const picture = chained && size === sizes[0] ? input.clone() : input.clone().resize(...size);
      const made = picture.toFormat(format, options ?? {}).toBuffer();
      all.push(made.then((bytes) => write(`${size[0]}.${format}`, bytes)));
      if (!alone) await made;
    }
  }
  await Promise.all(all);
}

const pixels = async (picture) => {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  return sharp(data, { raw: info });
};
// The function to be timed, for each source.
const steps = {
  decode: async (source) => () => sharp(source).raw().toBuffer(),
  resize: async (source) => {
    const picture = await pixels(sharp(source));
    return async () => {
      for (const size of sizes) await picture.clone().resize(...size).raw().toBuffer();
    };
  },
  encode: async (source) => {
    const pictures = await Promise.all(sizes.map((size) => pixels(sharp(source).resize(...size))));
    return async () => {
      for (const picture of pictures) {
        for (const format of formats) await picture.clone().toFormat(format, options ?? {}).toBuffer();
      }
    };
  },
};
const prepared = await Promise.all(sources.map(step ? steps[step] : async (source) => () => each(source, () => {})));

if (out) {
  for (const [index, source] of sources.entries()) {
    await each(source, (name, bytes) => writeFileSync(`${out}/${index}.${name}`, bytes));
  }
}
const [start, before] = [performance.now(), process.cpuUsage()];
let [next, images] = [0, 0];
async function work() {
  while ((performance.now() - start) / 1000 < seconds || next % sources.length !== 0) {
    await prepared[next++ % sources.length]();
    images++;
  }
}
// libvips works on a picture in several threads too; with as many again in flight none of them waits.
if (seconds > 0) await Promise.all(Array.from({ length: threads === 1 || alone ? 1 : 2 * threads }, work));
const { user, system } = process.cpuUsage(before);
const memory = Number(readFileSync("/proc/self/status", "utf8").match(/VmHWM:\s+(\d+)/)[1]);
const elapsed = (performance.now() - start) / 1000;
console.log(JSON.stringify({ images, seconds: elapsed, processor: (user + system) / 1e6, memory }));
