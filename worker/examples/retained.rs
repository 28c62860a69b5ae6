//! Measures what render processes keep between pictures, and what replacing them costs: renders large pictures of several
//! formats in one child, in turn. `cargo run --release --package darkroom-worker --example retained -- target/release/darkroom-worker`.

use std::{
    env, fs,
    io::{Cursor, Error, Result},
    time::{Duration, Instant},
};

use darkroom_container::header::{self, HeaderLimits};
use darkroom_model::{
    RenditionFormat,
    recipe::{Quality, Recipe, Resize},
};
use darkroom_pipeline::{Limits, MemoryEstimate};
use darkroom_test_pictures::{self as pictures, Jpeg};
use darkroom_worker::sandbox::{
    owner::Owner,
    pool::{MAX_RETAINED_MEMORY, Pool, PoolOptions},
    process::Program,
    protocol::RenderRequest,
};
use png::{BitDepth, ColorType};
use tokio::sync::mpsc;

const WIDTH: u32 = 4000;
const HEIGHT: u32 = 3000;
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    let worker = env::args().nth(1).ok_or_else(|| Error::other("which darkroom-worker?"))?;
    let requests_per_child = env::var("CHILD_IMAGES").map_or(Ok(100), |images| images.parse()).map_err(Error::other)?;
    let pool = Pool::start(PoolOptions {
        program: Program { path: worker.into(), arguments: vec!["render-child".to_owned()] },
        size: 1,
        requests_per_child,
        deadline: Duration::from_mins(5),
        max_retained: MAX_RETAINED_MEMORY,
        require_confinement: false,
    })?;
    let low = |n: u32| n.to_le_bytes()[0];
    let noise = |n: u32| n.wrapping_mul(0x9E37_79B1).to_le_bytes()[2] / 4;
    let rgba: Vec<u8> =
        (0..WIDTH * HEIGHT).flat_map(|n| [noise(n), low(n % WIDTH / 16), low(n / WIDTH / 16), 255]).collect();
    let jpeg = Jpeg::new(4000, 3000).encode_rgb(|x, y| [low(x), low(y), noise(x * y)]);
    let png = pictures::png(WIDTH, HEIGHT, ColorType::Rgba, BitDepth::Eight, &rgba);
    let webp = pictures::webp(WIDTH, HEIGHT, &rgba);
    let to = |format| Recipe::Resize(Resize { format: Some(format), quality: Quality::DEFAULT, ..Resize::default() });
    let tasks = [
        ("JPEG, standard", &jpeg, Recipe::Standard),
        ("PNG, standard", &png, Recipe::Standard),
        ("JPEG to AVIF", &jpeg, to(RenditionFormat::Avif)),
        ("JPEG to PNG", &jpeg, to(RenditionFormat::Png)),
        ("WebP, standard", &webp, Recipe::Standard),
    ];
    println!("| task | ms | resident MiB | kept address space MiB | children |\n|---|---|---|---|---|");
    let start = Instant::now();
    for (name, source, recipe) in tasks.iter().cycle().take(ROUNDS * tasks.len()) {
        let header = header::read(&mut Cursor::new(source), &HeaderLimits::default()).map_err(Error::other)?;
        let memory = MemoryEstimate::of_file(&header, source, recipe).bytes(0);
        let begin = Instant::now();
        let request = RenderRequest { recipe: recipe.clone(), limits: Limits::default(), owner: Owner::DEFAULT };
        let (sender, mut renditions) = mpsc::channel(1);
        let rendered = async {
            // Dropped at the end of the block, which ends the receiver.
            let sender = sender;
            pool.render(&request, &source[..], memory, &sender).await
        };
        let received = async { while renditions.recv().await.is_some() {} };
        let (rendered, ()) = tokio::join!(rendered, received);
        rendered.map_err(Error::other)?;
        let milliseconds = begin.elapsed().as_millis();
        let resident: u64 = pool.idle_pids().into_iter().map(resident_bytes).sum();
        let (kept, children) = (pool.retained_memory() >> 20, pool.children_started());
        println!("| {name} | {milliseconds} | {} | {kept} | {children} |", resident >> 20);
    }
    println!("\n{:.1} s in all", start.elapsed().as_secs_f32());
    Ok(())
}

fn resident_bytes(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
