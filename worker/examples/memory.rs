//! How much memory rendering a picture takes beside what it is granted, in a render process of its own:
//! `cargo run --release --workspace --example memory -- target/release/darkroom-worker FILE…`.
//!
//! Tries smaller and smaller grants, from twice the estimate: the smallest that suffices is what the picture needs.
//! `RECIPE` is one in JSON; the standard set without it. `SPARE_CORES` is how many it encodes on beside the first.

use std::{
    env, fs,
    io::{Cursor, Error, Result},
    time::Duration,
};

use darkroom_container::header::{self, HeaderLimits};
use darkroom_model::recipe::Recipe;
use darkroom_pipeline::Limits;
use darkroom_worker::sandbox::{
    RenderFault, admission,
    pool::{Pool, PoolOptions},
    process::Program,
    protocol::Order,
};
use tokio::sync::mpsc;

/// Grants are tried to this, in bytes.
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
    let program = Program { path: worker.into(), arguments: vec!["render-child".to_owned()] };
    // A new child for each grant, so that none uses what the last one's allocator kept.
    let pool = Pool::start(PoolOptions { program, size: 1, orders: 1, deadline: Duration::from_mins(5) })?;
    println!("| file | granted MiB | needed MiB | part |\n|---|---|---|---|");
    for file in arguments {
        let source = fs::read(&file)?;
        let name = file.rsplit('/').next().unwrap_or_default();
        let Ok(header) = header::read(&mut Cursor::new(&source), &HeaderLimits::default()) else { continue };
        let granted = admission::estimate(&header, &source, &recipe).bytes(limits.spare_cores);
        if !suffices(&pool, &recipe, limits, &source, 2 * granted).await {
            println!("| {name} | {} | more than twice as much | |", granted >> 20);
            continue;
        }
        let (mut too_little, mut enough) = (0, (2 * granted).div_ceil(STEP));
        while enough - too_little > 1 {
            let middle = u64::midpoint(too_little, enough);
            if suffices(&pool, &recipe, limits, &source, middle * STEP).await {
                enough = middle;
            } else {
                too_little = middle;
            }
        }
        let (needed, granted) = ((enough * STEP) >> 20, granted >> 20);
        println!("| {name} | {granted} | {needed} | {}.{:02} |", needed / granted, needed * 100 / granted % 100);
    }
    Ok(())
}

async fn suffices(pool: &Pool, recipe: &Recipe, limits: Limits, source: &[u8], memory: u64) -> bool {
    let order = Order { recipe: recipe.clone(), limits };
    let (sender, mut renditions) = mpsc::channel(1);
    let rendered = async {
        // Dropped with the block: then all renditions are taken.
        let sender = sender;
        pool.render(&order, source, memory, &sender).await
    };
    let taken = async { while renditions.recv().await.is_some() {} };
    let (rendered, ()) = tokio::join!(rendered, taken);
    // A picture that is refused needs what it took to refuse it.
    matches!(rendered, Ok(_) | Err(RenderFault::Refused { .. }))
}
