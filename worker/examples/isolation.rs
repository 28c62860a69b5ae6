//! What a render process costs beside rendering in this one, alternately, on a small picture:
//! `cargo run --release -p darkroom-worker --example isolation -- target/release/darkroom-worker [ROUNDS]`.

use std::{
    env,
    io::{Error, Result},
    time::{Duration, Instant},
};

use darkroom_model::recipe::Recipe;
use darkroom_pipeline::{Limits, render};
use darkroom_test_pictures::{Jpeg, corners};
use darkroom_worker::sandbox::{
    pool::{Pool, PoolOptions},
    process::Program,
    protocol::Order,
};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let worker = arguments.next().ok_or_else(|| Error::other("which darkroom-worker?"))?;
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(300);
    let program = Program { path: worker.into(), arguments: vec!["render-child".to_owned()] };
    // As many orders as by default, so that the replacing counts.
    let pool = Pool::start(PoolOptions { program, size: 1, orders: 100, deadline: Duration::from_mins(1) })?;
    let source = Jpeg::new(320, 240).encode_rgb(|x, y| corners(320, 240, x, y));
    let order = Order { recipe: Recipe::Standard, limits: Limits::default() };
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        render(&source, &order.recipe, &order.limits, &mut |_| Ok(())).map_err(Error::other)?;
        here.push(start.elapsed());
        let start = Instant::now();
        let (sender, mut renditions) = mpsc::channel(1);
        let rendered = async {
            // Dropped with the block: then all renditions are taken.
            let sender = sender;
            pool.render(&order, &source, 256 << 20, &sender).await
        };
        let taken = async { while renditions.recv().await.is_some() {} };
        let (rendered, ()) = tokio::join!(rendered, taken);
        rendered.map_err(Error::other)?;
        there.push(start.elapsed());
    }
    let (here, there) = (median(here), median(there));
    println!(
        "{rounds} rounds, medians: in this process {here:?}, in a render process {there:?}: {:.2} times, {:?} more",
        there.as_secs_f64() / here.as_secs_f64(),
        there.saturating_sub(here),
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
