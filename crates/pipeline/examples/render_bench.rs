//! Darkroom's side of `make bench-render`: renders files with one recipe, repeatedly.
//!
//! Its argument is JSON: `{"files": […], "recipe": {…}, "spare_cores": 0, "seconds": 1.5, "out": null, "stages": false}`.
//! With `out`, each file is first rendered once into that folder. Prints one line of JSON: pictures, seconds, seconds of
//! processor time, peak memory in KiB, and with `stages` the seconds of each step by name.

use std::{
    cell::Cell,
    collections::BTreeMap,
    env,
    fmt::{Debug, Write as _},
    fs,
    io::{Error, Result},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use darkroom_model::recipe::Recipe;
use darkroom_pipeline::{Limits, Rendered, render};
use serde::Deserialize;
use serde_json::json;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::{LookupSpan, SpanRef},
    util::SubscriberInitExt as _,
};

#[derive(Deserialize)]
struct Task {
    files: Vec<String>,
    recipe: Recipe,
    #[serde(default)]
    spare_cores: u32,
    seconds: f64,
    out: Option<String>,
    #[serde(default)]
    stages: bool,
}

fn main() -> Result<()> {
    let task: Task = serde_json::from_str(
        &env::args().nth(1).ok_or_else(|| Error::other("usage: render_bench TASK, a JSON object"))?,
    )?;
    let sources: Vec<Vec<u8>> = task.files.iter().map(fs::read).collect::<Result<_>>()?;
    if let Some(out) = &task.out {
        for (index, source) in sources.iter().enumerate() {
            each(source, &task, &mut |r| fs::write(format!("{out}/{index}.{}", r.name), r.bytes))?;
        }
    }
    let stages = Stages::default();
    if task.stages {
        Registry::default().with(stages.clone()).init();
    }
    let (start, before) = (Instant::now(), processor_seconds()?);
    let mut images = 0;
    // Whole rounds, so that every file counts equally.
    while start.elapsed().as_secs_f64() < task.seconds || images % sources.len() != 0 {
        each(&sources[images % sources.len()], &task, &mut |_| Ok(()))?;
        images += 1;
    }
    let answer = json!({
        "images": images,
        "seconds": start.elapsed().as_secs_f64(),
        "processor": processor_seconds()? - before,
        "memory": peak()?,
        "stages": *stages.seconds(),
    });
    println!("{answer}");
    Ok(())
}

fn each(source: &[u8], task: &Task, emit: &mut (dyn FnMut(Rendered) -> Result<()> + Send)) -> Result<()> {
    let limits = Limits { spare_cores: task.spare_cores, ..Limits::default() };
    render(source, &task.recipe, &limits, &mut |rendered| Ok(emit(rendered)?)).map_err(Error::other)?;
    Ok(())
}

/// Seconds spent in spans, by name. Time in a nested span counts for the inner one alone.
#[derive(Clone, Default)]
struct Stages(Arc<Mutex<BTreeMap<String, f64>>>);

thread_local! {
    /// When the innermost span was entered or resumed.
    static SINCE: Cell<Instant> = Cell::new(Instant::now());
}

impl Stages {
    fn seconds(&self) -> MutexGuard<'_, BTreeMap<String, f64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count<'a, S: LookupSpan<'a>>(&self, span: Option<&SpanRef<'a, S>>) {
        let now = Instant::now();
        let spent = now - SINCE.replace(now);
        if let Some(Name(name)) = span.and_then(|span| span.extensions().get().cloned()) {
            *self.seconds().entry(name).or_default() += spent.as_secs_f64();
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stages {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut name = Name(attributes.metadata().name().to_owned());
        attributes.record(&mut name);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(name);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.count(context.span(id).and_then(|span| span.parent()).as_ref());
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.count(context.span(id).as_ref());
    }
}

/// The name of a span, followed by the values of its fields.
#[derive(Clone)]
struct Name(String);

impl Visit for Name {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        _ = write!(self.0, " {value:?}");
    }
}

/// The peak memory of this process, in KiB. `getrusage`'s figure would include the parent's at the time of the fork.
fn peak() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).ok_or_else(|| Error::other("no VmHWM"))
}

/// Processor time of this process in seconds, in steps of 0.01.
fn processor_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
    Ok(fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0)
}
