//! Render processes, real ones: whatever a child does or is fed, the worker lives, knows what happened, and goes on.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use darkroom_container::header::{self, Header, HeaderLimits};
use darkroom_model::{
    FailureCode, ImageAnalysis, ImageId, RenditionFormat,
    recipe::{Overlay, Quality, Recipe, Resize, Scale, Ssim},
};
use darkroom_pipeline::{Files, Limits, Rendered};
use darkroom_test_pictures::{self as pictures, GifFrame, Jpeg};
use darkroom_worker::sandbox::{
    RenderFault, admission,
    pool::{Pool, PoolOptions},
    process::Program,
    protocol::Order,
};
use png::{BitDepth, ColorType};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::mpsc,
};

const MEMORY: u64 = 256 << 20;
const LONG: Duration = Duration::from_mins(2);

/// The shipped binary's child.
fn shipped() -> Program {
    Program { path: env!("CARGO_BIN_EXE_darkroom-worker").into(), arguments: vec!["render-child".to_owned()] }
}

/// A child with a fault.
fn faulty(fault: &str) -> Program {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_darkroom-worker"));
    let path = binary.with_file_name("examples").join("faulty_child");
    assert!(path.exists(), "build it first: cargo build -p darkroom-worker --examples");
    Program { path, arguments: vec![fault.to_owned()] }
}

fn pool(program: Program, size: usize, orders: u32, deadline: Duration) -> Pool {
    Pool::start(PoolOptions { program, size, orders, deadline }).unwrap()
}

fn picture() -> Vec<u8> {
    Jpeg::new(48, 32).encode_rgb(|x, y| pictures::corners(48, 32, x, y))
}

fn header_of(file: &[u8]) -> Header {
    header::read(&mut std::io::Cursor::new(file), &HeaderLimits::default()).unwrap()
}

fn scrambled(number: u32) -> [u8; 4] {
    (number.wrapping_mul(0x9E37_79B1) >> 7).to_le_bytes()
}

/// So many pixels of four samples.
fn noise(pixels: u32) -> Vec<u8> {
    (0..pixels).flat_map(scrambled).collect()
}

async fn render(pool: &Pool, source: &[u8], memory: u64) -> Result<(ImageAnalysis, Vec<Rendered>), RenderFault> {
    render_as(pool, source, memory, Recipe::Standard).await
}

async fn render_as<'a>(
    pool: &Pool,
    files: impl Into<Files<'a>>,
    memory: u64,
    recipe: Recipe,
) -> Result<(ImageAnalysis, Vec<Rendered>), RenderFault> {
    render_to(pool, files, memory, Order { recipe, limits: Limits::default() }).await
}

async fn render_to<'a>(
    pool: &Pool,
    files: impl Into<Files<'a>>,
    memory: u64,
    order: Order,
) -> Result<(ImageAnalysis, Vec<Rendered>), RenderFault> {
    let (sender, mut renditions) = mpsc::channel(1);
    let rendered = async move { pool.render(&order, files, memory, &sender).await };
    let received = async {
        let mut all = Vec::new();
        while let Some(rendition) = renditions.recv().await {
            all.push(rendition);
        }
        all
    };
    let (rendered, received) = tokio::join!(rendered, received);
    Ok((rendered?, received))
}

/// What becomes of a picture in a child with a fault; a new child has to be there afterwards.
async fn fault(fault: &str, deadline: Duration) -> RenderFault {
    let pool = pool(faulty(fault), 1, 10, deadline);
    let error = render(&pool, &picture(), MEMORY).await.err().unwrap();
    while pool.started() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    error
}

fn evidence(fault: RenderFault) -> String {
    match fault {
        RenderFault::Crashed { evidence } => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_child_renders_what_the_pipeline_renders() {
    let pool = pool(shipped(), 1, 10, LONG);
    let (facts, renditions) = render(&pool, &picture(), MEMORY).await.unwrap();
    let mut here = Vec::new();
    let expected = darkroom_pipeline::render(&picture(), &Recipe::Standard, &Limits::default(), &mut |rendition| {
        here.push(rendition);
        Ok(())
    });
    assert_eq!(facts.placeholder, expected.unwrap().placeholder);
    let files = |all: &[Rendered]| all.iter().map(|r| (r.name.clone(), r.bytes.clone())).collect::<Vec<_>>();
    assert_eq!(files(&renditions), files(&here));
    assert_eq!(pool.started(), 1);
}

#[tokio::test]
async fn a_child_gets_the_overlay_with_its_order_and_the_next_order_after_it() {
    let pool = pool(shipped(), 1, 10, LONG);
    let (source, logo) = (picture(), pictures::png(4, 4, ColorType::Grayscale, BitDepth::Eight, &[0; 16]));
    let files = Files { source: &source, overlay: Some(&logo) };
    let recipe = Recipe::Resize(Resize { overlay: Some(Overlay::of(ImageId::now())), ..Resize::default() });
    let (_, laid) = render_as(&pool, files, MEMORY, recipe.clone()).await.unwrap();
    let mut here = Vec::new();
    let take = &mut |rendition: Rendered| {
        here.push(rendition.bytes);
        Ok(())
    };
    darkroom_pipeline::render(files, &recipe, &Limits::default(), take).unwrap();
    assert_eq!(laid.iter().map(|rendition| &rendition.bytes).collect::<Vec<_>>(), here.iter().collect::<Vec<_>>());

    let (_, plain) = render_as(&pool, &source, MEMORY, Recipe::Resize(Resize::default())).await.unwrap();
    assert_ne!(plain[0].bytes, laid[0].bytes);
    let broken = Files { source: &source, overlay: Some(b"no picture") };
    let Err(RenderFault::Refused { failure, .. }) = render_as(&pool, broken, MEMORY, recipe).await else { panic!() };
    assert_eq!(failure.code, FailureCode::Unsatisfiable);
    assert_eq!(pool.started(), 1, "one child did it all");
}

/// Every encoder, and what it needs of the system and of memory.
#[tokio::test]
async fn a_child_makes_every_format_within_the_memory_it_is_granted() {
    let pool = pool(shipped(), 1, 100, LONG);
    // Noise, and wholly transparent parts: the most that an encoder can have to do.
    let samples = noise(1000 * 700);
    let source = pictures::png(1000, 700, ColorType::Rgba, BitDepth::Eight, &samples);
    let opaque = pictures::png(1000, 700, ColorType::Rgb, BitDepth::Eight, &samples[..1000 * 700 * 3]);
    let of = |quality| RenditionFormat::ALL.iter().map(move |format| (*format, Quality::new(quality).unwrap(), None));
    let scored = [(RenditionFormat::Webp, Quality::DEFAULT, Ssim::new(50.0))];
    for (format, quality, ssim) in of(80).chain(of(100)).chain(scored) {
        for source in [&source, &opaque] {
            let recipe = Recipe::Resize(Resize { format: Some(format), quality, ssim, ..Resize::default() });
            let memory = admission::estimate(&header_of(source), source, &recipe).bytes(0);
            let (_, renditions) = render_as(&pool, source, memory, recipe).await.unwrap();
            assert_eq!(renditions[0].format, format);
        }
    }
    assert_eq!(pool.started(), 1);
}

/// The worst case that cores make: all that can be encoded at once, of noise.
#[tokio::test]
async fn a_child_encodes_on_spare_cores_within_the_memory_that_they_are_granted() {
    let transparent = pictures::png(1700, 900, ColorType::Rgba, BitDepth::Eight, &noise(1700 * 900));
    let jpeg = Jpeg::new(1700, 900).encode_rgb(|x, y| [x, y, x + y].map(|n| scrambled(n)[0]));
    let smallest = Recipe::Resize(Resize::default());
    for (source, recipe, files) in
        [(&jpeg, Recipe::Standard, 8), (&transparent, Recipe::Standard, 8), (&jpeg, smallest, 1)]
    {
        let estimate = admission::estimate(&header_of(source), source, &recipe);
        for spare_cores in [1, 3] {
            // Nothing is free that an earlier picture needed.
            let pool = pool(shipped(), 1, 1, LONG);
            let order = Order { recipe: recipe.clone(), limits: Limits { spare_cores, ..Limits::default() } };
            let (_, renditions) = render_to(&pool, source, estimate.bytes(spare_cores), order).await.unwrap();
            assert_eq!(renditions.len(), files);
        }
    }
}

#[tokio::test]
async fn pictures_share_the_cores() {
    let pool = pool(shipped(), 4, 100, LONG);
    let cores = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let alone = pool.share();
    assert_eq!(alone.spare_cores, cores - 1);
    let second = pool.share();
    assert_eq!(second.spare_cores, (cores / 2).saturating_sub(1));
    drop((alone, second));
    assert_eq!(pool.share().spare_cores, cores - 1);
}

#[tokio::test]
async fn an_overlay_has_room_in_the_memory_that_it_adds() {
    let pool = pool(shipped(), 1, 100, LONG);
    let png = |width, height| pictures::png(width, height, ColorType::Rgba, BitDepth::Eight, &noise(width * height));
    let overlay = Overlay { scale: Scale::new(1.0).unwrap(), ..Overlay::of(ImageId::now()) };
    let recipe =
        Recipe::Resize(Resize { overlay: Some(overlay), format: Some(RenditionFormat::Jpeg), ..Resize::default() });
    for (source, logo) in [(png(32, 32), png(3000, 2000)), (png(1200, 800), png(1200, 800))] {
        let granted = admission::estimate(&header_of(&source), &source, &recipe).bytes(0)
            + admission::overlay(&header_of(&logo), &logo);
        let files = Files { source: &source, overlay: Some(&logo) };
        let (_, renditions) = render_as(&pool, files, granted, recipe.clone()).await.unwrap();
        assert_eq!(renditions.len(), 1);
    }
    assert_eq!(pool.started(), 1);
}

#[tokio::test]
async fn a_broken_picture_is_refused_and_the_child_is_kept() {
    let pool = pool(shipped(), 1, 10, LONG);
    let mut source = picture();
    source.truncate(source.len() - 20);
    for _ in 0..3 {
        let Err(RenderFault::Refused { failure, .. }) = render(&pool, &source, MEMORY).await else { panic!() };
        assert_eq!(failure.code, FailureCode::BrokenImage);
    }
    assert_eq!(pool.started(), 1);
}

#[tokio::test]
async fn a_child_is_replaced_after_its_number_of_orders() {
    let pool = pool(shipped(), 1, 2, LONG);
    for _ in 0..5 {
        render(&pool, &picture(), MEMORY).await.unwrap();
    }
    assert_eq!(pool.started(), 3);
}

#[tokio::test]
async fn a_child_that_dies_is_evidence_of_what_it_died_of() {
    assert!(evidence(fault("abort", LONG).await).contains("signal: 6"));
    let panicked = evidence(fault("panic", LONG).await);
    assert!(panicked.contains("a bug"), "{panicked}");
    assert!(evidence(fault("exit", LONG).await).contains("exit status: 7"));
}

#[tokio::test]
async fn a_child_that_hangs_is_killed_at_its_deadline() {
    let RenderFault::TimedOut { processor, .. } = fault("hang", Duration::from_millis(300)).await else { panic!() };
    assert!(processor < Duration::from_millis(300), "it slept");
}

#[tokio::test]
async fn a_child_that_spins_is_cut_off() {
    assert!(matches!(fault("spin", Duration::from_secs(1)).await, RenderFault::TimedOut { .. }));
}

#[tokio::test]
async fn a_child_that_takes_more_than_its_memory_is_told_from_a_crash() {
    assert!(matches!(fault("memory", LONG).await, RenderFault::OutOfMemory { .. }));
}

#[tokio::test]
async fn a_child_that_lies_is_killed() {
    for (kind, told) in [
        ("garbage", "a frame of"),
        ("lengths", "a frame of"),
        ("rendition", "a frame of"),
        ("name", "strange name"),
        ("page", "not of its format"),
    ] {
        let evidence = evidence(fault(kind, LONG).await);
        assert!(evidence.contains(told), "{kind}: {evidence}");
    }
}

#[tokio::test]
async fn a_child_reaches_nothing_but_threads() {
    let pool = pool(faulty("escape"), 1, 10, LONG);
    let Err(RenderFault::Failed { cause }) = render(&pool, &picture(), MEMORY).await else { panic!() };
    assert_eq!(cause, "rendering failed: thread");
}

#[tokio::test]
async fn a_child_that_dies_while_it_waits_costs_nothing() {
    let pool = pool(shipped(), 1, 10, LONG);
    render(&pool, &picture(), MEMORY).await.unwrap();
    let [child] = pool.waiting()[..] else { panic!("one child") };
    kill(child);
    gone(child).await;
    render(&pool, &picture(), MEMORY).await.unwrap();
    assert_eq!(pool.started(), 2);
}

#[tokio::test]
async fn a_picture_that_nobody_waits_for_is_dropped_with_its_child() {
    let pool = pool(faulty("hang"), 1, 10, LONG);
    let source = picture();
    let dropped = tokio::time::timeout(Duration::from_millis(300), render(&pool, &source, MEMORY)).await;
    assert!(dropped.is_err());
    while pool.started() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_killed_worker_leaves_no_child() {
    let mut worker = tokio::process::Command::new(faulty("worker").path)
        .arg("worker")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut child = String::new();
    BufReader::new(worker.stdout.take().unwrap()).read_line(&mut child).await.unwrap();
    kill(worker.id().unwrap());
    gone(child.trim().parse().unwrap()).await;
}

/// Waits until a process is no more than its parent's memory of it.
async fn gone(pid: u32) {
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Renders within the memory that the picture's header asks for.
async fn judged(pool: &Pool, source: &[u8]) -> Result<usize, FailureCode> {
    let limits = HeaderLimits::default();
    let header = match header::read(&mut std::io::Cursor::new(source), &limits) {
        Ok(header) => header,
        Err(error) => return Err(error.failure().unwrap().code),
    };
    let memory = admission::estimate(&header, source, &Recipe::Standard).bytes(0);
    match render(pool, source, memory).await {
        Ok((_, renditions)) => Ok(renditions.len()),
        Err(RenderFault::Refused { failure, .. }) => Err(failure.code),
        Err(other) => panic!("{other:?} with {memory} bytes for {header:?}"),
    }
}

#[tokio::test]
async fn bombs_are_rendered_or_refused_within_their_memory() {
    let pool = pool(shipped(), 1, 100, LONG);
    // More than the memory that so small a picture is granted.
    let compressed = pictures::compressed_chunk(&vec![0; 100 << 20]);
    for kind in [*b"iCCP", *b"zTXt"] {
        let chunks = [(kind, compressed.clone())];
        let bomb = pictures::png_with(16, 16, ColorType::Rgb, BitDepth::Eight, &[0; 768], &chunks);
        // Rendered or refused; a crash would panic.
        _ = judged(&pool, &bomb).await;
    }
    let mut wide = pictures::png(1, 1, ColorType::Rgb, BitDepth::Eight, &[0; 3]);
    wide[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    assert_eq!(judged(&pool, &wide).await, Err(FailureCode::TooLarge));
    let mut screen = pictures::gif(
        1,
        1,
        gif::Repeat::Infinite,
        &[GifFrame { place: [0, 0, 1, 1], colour: Some([1, 2, 3]), delay: 1, dispose: gif::DisposalMethod::Keep }],
    );
    screen[6..10].copy_from_slice(&[0xFF; 4]);
    assert_eq!(judged(&pool, &screen).await, Err(FailureCode::TooLarge));
    // Sixteen million pixels of one colour, a few bytes long.
    let side = 4000;
    let flat = pictures::webp(side, side, &vec![0x80; (side * side * 4) as usize]);
    assert!(flat.len() < 10_000, "{}", flat.len());
    assert!(judged(&pool, &flat).await.is_ok());
    assert_eq!(judged(&pool, &scans(2000)).await, Err(FailureCode::TooLarge));
    assert!(render(&pool, &picture(), MEMORY).await.is_ok());
    // The large ones cost their child, by design; nothing else did.
    assert!(pool.started() <= 3, "{}", pool.started());
}

/// A JPEG whose picture is scanned again and again.
fn scans(count: usize) -> Vec<u8> {
    let once = Jpeg::new(64, 64).gray().encode(|_, _, _| 100);
    let scan = once.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let end = once.len() - 2;
    [&once[..scan], &once[scan..end].repeat(count), &once[end..]].concat()
}

#[tokio::test]
async fn a_storm_of_damaged_pictures_crashes_no_child() {
    let pool = pool(shipped(), 2, 1000, LONG);
    let seeds = [
        picture(),
        Jpeg::new(48, 32)
            .half_colour()
            .not_interleaved()
            .with_orientation(6)
            .encode_rgb(|x, y| pictures::corners(48, 32, x, y)),
        Jpeg::new(48, 32).cmyk().encode(|_, x, _| u8::try_from(x).unwrap()),
        pictures::png(24, 16, ColorType::Rgba, BitDepth::Eight, &[77; 24 * 16 * 4]),
        pictures::webp(24, 16, &[99; 24 * 16 * 4]),
    ];
    // xorshift: the same storm each time.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    for round in 0..150 {
        let mut source = seeds[round % seeds.len()].clone();
        for _ in 0..=draw(4) {
            let at = draw(source.len());
            source[at] = u8::try_from(draw(256)).unwrap();
        }
        // Too large is refused by the header, so what is rendered stays small.
        _ = judged_small(&pool, &source).await;
    }
    assert_eq!(pool.started(), 2);
}

async fn judged_small(pool: &Pool, source: &[u8]) -> Result<usize, FailureCode> {
    let limits = HeaderLimits { width: 400, height: 400, pixels: 40_000, frames: 20, scans: 20 };
    match header::read(&mut std::io::Cursor::new(source), &limits) {
        Ok(_) => judged(pool, source).await,
        Err(error) => Err(error.failure().unwrap().code),
    }
}
