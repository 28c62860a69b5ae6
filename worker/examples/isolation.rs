//! Measures what rendering in a child process costs compared with this process, alternately, on a small picture:
//! `cargo run --release -p darkroom-worker --example isolation -- target/release/darkroom-worker [ROUNDS]`.

use std::{
    env, fs,
    io::{Error, Result},
    time::{Duration, Instant},
};

use darkroom_model::{Owner, recipe::Recipe};
use darkroom_pipeline::{Limits, render};
use darkroom_test_pictures::{Jpeg, corners};
use darkroom_worker::sandbox::{
    pool::{MAX_RETAINED_MEMORY, Pool, PoolOptions},
    process::Program,
    protocol::RenderRequest,
};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let worker = arguments.next().ok_or_else(|| Error::other("which darkroom-worker?"))?;
    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(300);
    let program = Program { path: fs::canonicalize(worker)?, arguments: vec!["render-child".to_owned()] };
    // As many requests per child as by default, so that the time to replace children is included.
    let pool = Pool::start(PoolOptions {
        program,
        size: 1,
        requests_per_child: 100,
        deadline: Duration::from_mins(1),
        max_retained: MAX_RETAINED_MEMORY,
        require_confinement: false,
    })?;
    let source = Jpeg::new(320, 240).encode_rgb(|x, y| corners(320, 240, x, y));
    let request = RenderRequest { recipe: Recipe::Standard, limits: Limits::default(), owner: Owner::DEFAULT };
    let (mut in_process, mut in_child) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        render(&source, &request.recipe, &request.limits, &mut |_| Ok(())).map_err(Error::other)?;
        in_process.push(start.elapsed());
        let start = Instant::now();
        let (sender, mut renditions) = mpsc::channel(1);
        let rendered = async {
            // Dropped at the end of the block, which ends the receiver.
            let sender = sender;
            pool.render(&request, &source, 256 << 20, &sender).await
        };
        let received = async { while renditions.recv().await.is_some() {} };
        let (rendered, ()) = tokio::join!(rendered, received);
        rendered.map_err(Error::other)?;
        in_child.push(start.elapsed());
    }
    let (in_process, in_child) = (median(in_process), median(in_child));
    println!(
        "{rounds} rounds, medians: in this process {in_process:?}, in a render process {in_child:?}: {:.2} times, {:?} more",
        in_child.as_secs_f64() / in_process.as_secs_f64(),
        in_child.saturating_sub(in_process),
    );
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
