//! Darkroom's side of `make bench-render`: renders files with one recipe, again and again.
//!
//! Its argument is JSON: `{"files": […], "recipe": {…}, "threads": 1, "seconds": 1.5, "out": null}`. With `out`, each file
//! is rendered once, into that folder. It prints one line of JSON: pictures, seconds, seconds of processor time, and the most
//! memory it had, in KiB.

use std::{
    env, fs,
    io::{Error, Result},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use darkroom_shared::image::Recipe;
use darkroom_worker::pipeline::{Limits, Rendered, render};
use serde::Deserialize;

#[derive(Deserialize)]
struct Task {
    files: Vec<String>,
    recipe: Recipe,
    threads: usize,
    seconds: f64,
    out: Option<String>,
}

fn main() -> Result<()> {
    let task: Task = serde_json::from_str(&env::args().nth(1).ok_or_else(|| Error::other("which task?"))?)?;
    let sources: Vec<Vec<u8>> = task.files.iter().map(fs::read).collect::<Result<_>>()?;
    if let Some(out) = &task.out {
        for (index, source) in sources.iter().enumerate() {
            each(source, &task.recipe, &mut |r| fs::write(format!("{out}/{index}.{}", r.name), r.bytes))?;
        }
    }
    let (start, before) = (Instant::now(), processor_seconds()?);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut count = 0;
        // Whole rounds, so that each file counts as often as the others.
        while start.elapsed().as_secs_f64() < task.seconds
            || !next.load(Ordering::Relaxed).is_multiple_of(sources.len())
        {
            let source = &sources[next.fetch_add(1, Ordering::Relaxed) % sources.len()];
            each(source, &task.recipe, &mut |_| Ok(()))?;
            count += 1;
        }
        Ok::<_, Error>(count)
    };
    let images = if task.seconds == 0.0 {
        0
    } else {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..task.threads).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| Error::other("it panicked"))?)
                .sum::<Result<u32>>()
        })?
    };
    let (seconds, processor) = (start.elapsed().as_secs_f64(), processor_seconds()? - before);
    let memory = peak()?;
    println!(r#"{{"images": {images}, "seconds": {seconds}, "processor": {processor}, "memory": {memory}}}"#);
    Ok(())
}

fn each(source: &[u8], recipe: &Recipe, emit: &mut dyn FnMut(Rendered) -> Result<()>) -> Result<()> {
    render(source, recipe, &Limits::default(), &mut |rendered| Ok(emit(rendered)?)).map_err(Error::other)?;
    Ok(())
}

/// The most memory this process had, in KiB. The kernel's other figure for it counts what the parent had when it forked.
fn peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).ok_or_else(|| Error::other("no VmHWM"))
}

/// Of this process, in steps of a hundredth.
fn processor_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
    Ok(fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0)
}
