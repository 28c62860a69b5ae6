//! Measures how much memory rendering a picture needs compared with its estimate, in a render process of its own:
//! `cargo run --release --workspace --example memory -- target/release/darkroom-worker FILE…`.
//!
//! A binary search below twice the estimate finds the smallest limit with which the picture renders. `RECIPE` is a
//! recipe in JSON, by default the standard set. `SPARE_CORES` is the number of cores besides the first, by default 0.

use std::{
    env, fs,
    io::{Cursor, Error, Result},
    time::Duration,
};

use darkroom_container::header::{self, HeaderLimits};
use darkroom_model::{Owner, recipe::Recipe};
use darkroom_pipeline::{Limits, MemoryEstimate};
use darkroom_worker::sandbox::{
    SandboxError,
    pool::{MAX_RETAINED_MEMORY, Pool, PoolOptions},
    process::Program,
    protocol::RenderRequest,
};
use tokio::sync::mpsc;

/// Precision of the search, in bytes.
const STEP: u64 = 4 << 20;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let worker = arguments.next().ok_or_else(|| Error::other("which darkroom-worker?"))?;
    let recipe = match env::var("RECIPE") {
        Ok(recipe) => serde_json::from_str(&recipe)?,
        Err(_) => Recipe::Standard,
    };
    let spare_cores = env::var("SPARE_CORES").map_or(Ok(0), |cores| cores.parse()).map_err(Error::other)?;
    let limits = Limits { spare_cores, ..Limits::default() };
    let program = Program { path: fs::canonicalize(worker)?, arguments: vec!["render-child".to_owned()] };
    // A new child for each limit, so that none uses memory which the allocator of the one before kept.
    let pool = Pool::start(PoolOptions {
        program,
        size: 1,
        requests_per_child: 1,
        deadline: Duration::from_mins(5),
        max_retained: MAX_RETAINED_MEMORY,
        require_confinement: false,
    })?;
    println!("| file | estimated MiB | needed MiB | part |\n|---|---|---|---|");
    for file in arguments {
        let source = fs::read(&file)?;
        let name = file.rsplit('/').next().unwrap_or_default();
        let Ok(header) = header::read(&mut Cursor::new(&source), &HeaderLimits::default()) else { continue };
        let estimated = MemoryEstimate::of_file(&header, &source, &recipe).bytes(limits.spare_cores);
        if !suffices(&pool, &recipe, limits, &source, 2 * estimated).await {
            println!("| {name} | {} | more than twice as much | |", estimated >> 20);
            continue;
        }
        let (mut too_little, mut enough) = (0, (2 * estimated).div_ceil(STEP));
        while enough - too_little > 1 {
            let middle = u64::midpoint(too_little, enough);
            if suffices(&pool, &recipe, limits, &source, middle * STEP).await {
                enough = middle;
            } else {
                too_little = middle;
            }
        }
        let (needed, estimated) = ((enough * STEP) >> 20, estimated >> 20);
        println!("| {name} | {estimated} | {needed} | {}.{:02} |", needed / estimated, needed * 100 / estimated % 100);
    }
    Ok(())
}

async fn suffices(pool: &Pool, recipe: &Recipe, limits: Limits, source: &[u8], memory: u64) -> bool {
    let request = RenderRequest { recipe: recipe.clone(), limits, owner: Owner::DEFAULT };
    let (sender, mut renditions) = mpsc::channel(1);
    let rendered = async {
        // Dropped at the end of the block, which ends the receiver.
        let sender = sender;
        pool.render(&request, source, memory, &sender).await
    };
    let received = async { while renditions.recv().await.is_some() {} };
    let (rendered, ()) = tokio::join!(rendered, received);
    // A refused picture needs the memory that it took to refuse it.
    matches!(rendered, Ok(_) | Err(SandboxError::Refused { .. }))
}
