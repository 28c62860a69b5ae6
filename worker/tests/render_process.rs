//! Real render processes: whatever a child does or reads, the worker survives, reports what happened, and continues.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use darkroom_container::header::{self, Header, HeaderLimits};
use darkroom_model::{
    FailureCode, ImageAnalysis, ImageId, Owner, RenditionFormat,
    recipe::{Overlay, Quality, Recipe, Resize, Scale, Ssim},
};
use darkroom_pipeline::{Files, Limits, MemoryEstimate, Rendered, overlay_memory};
use darkroom_test_pictures::{self as pictures, GifFrame, Heif, Hevc, Jpeg};
use darkroom_worker::sandbox::{
    SandboxError,
    pool::{MAX_RETAINED_MEMORY, Pool, PoolOptions},
    process::Program,
    protocol::RenderRequest,
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

/// A child with the fault of this name.
fn faulty(fault: &str) -> Program {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_darkroom-worker"));
    let path = binary.with_file_name("examples").join("faulty_child");
    assert!(path.exists(), "build it first: cargo build -p darkroom-worker --examples");
    Program { path, arguments: vec![fault.to_owned()] }
}

fn pool(program: Program, size: usize, requests_per_child: u32, deadline: Duration) -> Pool {
    Pool::start(options(program, size, requests_per_child, deadline)).unwrap()
}

fn options(program: Program, size: usize, requests_per_child: u32, deadline: Duration) -> PoolOptions {
    let max_retained = MAX_RETAINED_MEMORY;
    PoolOptions { program, size, requests_per_child, deadline, max_retained, require_confinement: false }
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

/// This number of pixels with four samples each.
fn noise(pixels: u32) -> Vec<u8> {
    (0..pixels).flat_map(scrambled).collect()
}

async fn render(pool: &Pool, source: &[u8], memory: u64) -> Result<(ImageAnalysis, Vec<Rendered>), SandboxError> {
    render_as(pool, source, memory, Recipe::Standard).await
}

async fn render_as<'a>(
    pool: &Pool,
    files: impl Into<Files<'a>>,
    memory: u64,
    recipe: Recipe,
) -> Result<(ImageAnalysis, Vec<Rendered>), SandboxError> {
    render_to(pool, files, memory, request(recipe, Limits::default())).await
}

fn request(recipe: Recipe, limits: Limits) -> RenderRequest {
    RenderRequest { recipe, limits, owner: Owner::DEFAULT }
}

async fn render_to<'a>(
    pool: &Pool,
    files: impl Into<Files<'a>>,
    memory: u64,
    request: RenderRequest,
) -> Result<(ImageAnalysis, Vec<Rendered>), SandboxError> {
    let (sender, mut renditions) = mpsc::channel(1);
    let rendered = async move { pool.render(&request, files, memory, &sender).await };
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

/// The error of rendering in a child with this fault. Waits until a new child has replaced it.
async fn error_of(fault: &str, deadline: Duration) -> SandboxError {
    let pool = pool(faulty(fault), 1, 10, deadline);
    let error = render(&pool, &picture(), MEMORY).await.err().unwrap();
    while pool.children_started() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    error
}

fn evidence(error: SandboxError) -> String {
    match error {
        SandboxError::Crashed { evidence, .. } => evidence,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_child_renders_what_the_pipeline_renders() {
    let pool = pool(shipped(), 1, 10, LONG);
    let (analysis, renditions) = render(&pool, &picture(), MEMORY).await.unwrap();
    let mut expected_files = Vec::new();
    let expected = darkroom_pipeline::render(&picture(), &Recipe::Standard, &Limits::default(), &mut |rendition| {
        expected_files.push(rendition);
        Ok(())
    });
    assert_eq!(analysis.placeholder, expected.unwrap().placeholder);
    let files = |all: &[Rendered]| all.iter().map(|r| (r.name.clone(), r.bytes.clone())).collect::<Vec<_>>();
    assert_eq!(files(&renditions), files(&expected_files));
    assert_eq!(pool.children_started(), 1);
}

/// Its decoder would start threads, which a child cannot.
#[tokio::test]
async fn a_child_renders_a_heic() {
    let pool = pool(shipped(), 1, 10, LONG);
    for _ in 0..2 {
        render(&pool, &Heif::heic(Hevc::Half).encode(), MEMORY).await.unwrap();
    }
    assert_eq!(pool.children_started(), 1);
}

#[tokio::test]
async fn a_child_reads_the_overlay_after_its_request_and_then_the_next_request() {
    let pool = pool(shipped(), 1, 10, LONG);
    let (source, logo) = (picture(), pictures::png(4, 4, ColorType::Grayscale, BitDepth::Eight, &[0; 16]));
    let files = Files { source: &source, overlay: Some(&logo) };
    let recipe = Recipe::Resize(Resize { overlay: Some(Overlay::of(ImageId::now())), ..Resize::default() });
    let (_, with_overlay) = render_as(&pool, files, MEMORY, recipe.clone()).await.unwrap();
    let mut expected = Vec::new();
    let emit = &mut |rendition: Rendered| {
        expected.push(rendition.bytes);
        Ok(())
    };
    darkroom_pipeline::render(files, &recipe, &Limits::default(), emit).unwrap();
    assert_eq!(
        with_overlay.iter().map(|rendition| &rendition.bytes).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );

    let (_, plain) = render_as(&pool, &source, MEMORY, Recipe::Resize(Resize::default())).await.unwrap();
    assert_ne!(plain[0].bytes, with_overlay[0].bytes);
    let broken = Files { source: &source, overlay: Some(b"no picture") };
    let Err(SandboxError::Refused { failure, .. }) = render_as(&pool, broken, MEMORY, recipe).await else { panic!() };
    assert_eq!(failure.code, FailureCode::Unsatisfiable);
    assert_eq!(pool.children_started(), 1, "one child rendered all of them");
}

/// Covers every encoder, its system calls and its memory.
#[tokio::test]
async fn a_child_encodes_every_format_within_its_memory_limit() {
    // A new child each time, so that no memory of an earlier picture is reused.
    let pool = pool(shipped(), 1, 1, LONG);
    // Noise with fully transparent pixels: the worst case for an encoder.
    let samples = noise(1000 * 700);
    let source = pictures::png(1000, 700, ColorType::Rgba, BitDepth::Eight, &samples);
    let opaque = pictures::png(1000, 700, ColorType::Rgb, BitDepth::Eight, &samples[..1000 * 700 * 3]);
    let of = |quality| RenditionFormat::ALL.iter().map(move |format| (*format, Quality::new(quality).unwrap(), None));
    let scored = [(RenditionFormat::Webp, Quality::DEFAULT, Ssim::new(50.0))];
    for (format, quality, ssim) in of(80).chain(of(100)).chain(scored) {
        for source in [&source, &opaque] {
            let recipe = Recipe::Resize(Resize { format: Some(format), quality, ssim, ..Resize::default() });
            let memory = MemoryEstimate::of_file(&header_of(source), source, &recipe).bytes(0);
            let (_, renditions) = render_as(&pool, source, memory, recipe).await.unwrap();
            assert_eq!(renditions[0].format, format);
        }
    }
}

/// The worst case with spare cores: noise in all renditions that can be encoded at once.
#[tokio::test]
async fn a_child_encodes_on_spare_cores_within_its_memory_limit() {
    let transparent = pictures::png(1700, 900, ColorType::Rgba, BitDepth::Eight, &noise(1700 * 900));
    let jpeg = Jpeg::new(1700, 900).encode_rgb(|x, y| [x, y, x + y].map(|n| scrambled(n)[0]));
    let smallest = Recipe::Resize(Resize::default());
    for (source, recipe, files) in
        [(&jpeg, Recipe::Standard, 8), (&transparent, Recipe::Standard, 8), (&jpeg, smallest, 1)]
    {
        let estimated = MemoryEstimate::of_file(&header_of(source), source, &recipe);
        for spare_cores in [1, 3] {
            // A new child each time, so that no memory of an earlier picture is reused.
            let pool = pool(shipped(), 1, 1, LONG);
            let request = request(recipe.clone(), Limits { spare_cores, ..Limits::default() });
            let (_, renditions) = render_to(&pool, source, estimated.bytes(spare_cores), request).await.unwrap();
            assert_eq!(renditions.len(), files);
        }
    }
}

#[tokio::test]
async fn pictures_share_the_cores() {
    let pool = pool(shipped(), 4, 100, LONG);
    let cores = u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    let alone = pool.core_share();
    assert_eq!(alone.spare_cores, cores - 1);
    let second = pool.core_share();
    assert_eq!(second.spare_cores, (cores / 2).saturating_sub(1));
    drop((alone, second));
    assert_eq!(pool.core_share().spare_cores, cores - 1);
}

#[tokio::test]
async fn an_overlay_renders_within_the_memory_that_it_adds() {
    let pool = pool(shipped(), 1, 100, LONG);
    let png = |width, height| pictures::png(width, height, ColorType::Rgba, BitDepth::Eight, &noise(width * height));
    let overlay = Overlay { scale: Scale::new(1.0).unwrap(), ..Overlay::of(ImageId::now()) };
    let recipe =
        Recipe::Resize(Resize { overlay: Some(overlay), format: Some(RenditionFormat::Jpeg), ..Resize::default() });
    for (source, logo) in [(png(32, 32), png(3000, 2000)), (png(1200, 800), png(1200, 800))] {
        let memory = MemoryEstimate::of_file(&header_of(&source), &source, &recipe).bytes(0)
            + overlay_memory(&header_of(&logo), &logo);
        let files = Files { source: &source, overlay: Some(&logo) };
        let (_, renditions) = render_as(&pool, files, memory, recipe.clone()).await.unwrap();
        assert_eq!(renditions.len(), 1);
    }
    assert_eq!(pool.children_started(), 1);
}

#[tokio::test]
async fn a_broken_picture_is_refused_and_the_child_is_kept() {
    let pool = pool(shipped(), 1, 10, LONG);
    let mut source = picture();
    source.truncate(source.len() - 20);
    for _ in 0..3 {
        let Err(SandboxError::Refused { failure, .. }) = render(&pool, &source, MEMORY).await else { panic!() };
        assert_eq!(failure.code, FailureCode::BrokenImage);
    }
    assert_eq!(pool.children_started(), 1);
}

#[tokio::test]
async fn a_child_is_replaced_after_its_number_of_requests() {
    let pool = pool(shipped(), 1, 2, LONG);
    for _ in 0..5 {
        render(&pool, &picture(), MEMORY).await.unwrap();
    }
    assert_eq!(pool.children_started(), 3);
}

#[tokio::test]
async fn the_exit_status_of_a_dead_child_is_reported() {
    assert!(evidence(error_of("abort", LONG).await).contains("signal: 6"));
    let panicked = evidence(error_of("panic", LONG).await);
    assert!(panicked.contains("a bug"), "{panicked}");
    assert!(evidence(error_of("exit", LONG).await).contains("exit status: 7"));
}

#[tokio::test]
async fn a_child_that_hangs_is_killed_at_its_deadline() {
    let SandboxError::TimedOut { cpu_time, .. } = error_of("hang", Duration::from_millis(300)).await else { panic!() };
    assert!(cpu_time < Duration::from_millis(300), "it slept");
}

#[tokio::test]
async fn a_child_that_spins_is_killed() {
    assert!(matches!(error_of("spin", Duration::from_secs(1)).await, SandboxError::TimedOut { .. }));
}

#[tokio::test]
async fn running_out_of_memory_is_not_reported_as_a_crash() {
    assert!(matches!(error_of("memory", LONG).await, SandboxError::OutOfMemory { .. }));
}

#[tokio::test]
async fn a_child_that_sends_invalid_replies_is_killed() {
    for (fault, reason) in [
        ("garbage", "a frame of"),
        ("lengths", "a frame of"),
        ("rendition", "a frame of"),
        ("many-files", "a frame of"),
        ("invalid-name", "invalid name"),
        ("not-a-picture", "not of its format"),
    ] {
        let evidence = evidence(error_of(fault, LONG).await);
        assert!(evidence.contains(reason), "{fault}: {evidence}");
    }
}

#[tokio::test]
async fn a_child_can_use_nothing() {
    let pool = pool(faulty("escape"), 1, 10, LONG);
    let Err(SandboxError::Failed { cause }) = render(&pool, &picture(), MEMORY).await else { panic!() };
    assert_eq!(cause, "rendering failed: ");
}

/// The text with which a child of this fault fails to render these bytes.
async fn failure_of(fault: &str, source: &[u8]) -> String {
    let pool = pool(faulty(fault), 1, 10, LONG);
    let Err(SandboxError::Failed { cause }) = render(&pool, source, MEMORY).await else { panic!("{fault}") };
    cause.trim_start_matches("rendering failed: ").to_owned()
}

#[tokio::test]
async fn a_child_can_start_no_thread() {
    assert_eq!(failure_of("threads", &picture()).await, "0");
}

#[tokio::test]
async fn a_child_can_send_signals_only_to_itself() {
    let worker = std::process::id().to_string();
    assert_eq!(failure_of("signal", worker.as_bytes()).await, "self true, other false");
}

#[tokio::test]
async fn a_child_keeps_no_descriptor_of_the_worker() {
    // Without O_CLOEXEC, as a library or a supervisor may leave one.
    let inheritable = rustix::io::dup(std::io::stderr()).unwrap();
    let pool = pool(shipped(), 1, 10, LONG);
    render(&pool, &picture(), MEMORY).await.unwrap();
    let [child] = pool.idle_pids()[..] else { panic!("one child") };
    let open = fs::read_dir(format!("/proc/{child}/fd")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut open: Vec<_> = open.map(|name| name.into_string().unwrap()).collect();
    open.sort();
    // Standard input, output and error, and the socket again.
    assert_eq!(open, ["0", "1", "2", "3"]);
    drop(inheritable);
}

#[tokio::test]
async fn a_child_renders_for_one_owner_only() {
    let of = |owner| RenderRequest { owner: Owner::from_id(owner), ..request(Recipe::Standard, Limits::default()) };
    let pool = pool(shipped(), 2, 100, LONG);
    pool.warm_up();
    while pool.idle_pids().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut children = Vec::new();
    for owner in [1, 2, 1, 2] {
        render_to(&pool, &picture(), MEMORY, of(owner)).await.unwrap();
        // The child that was used last has been idle for the shortest time.
        children.push(*pool.idle_pids().last().unwrap());
    }
    assert_eq!(pool.children_started(), 2);
    assert!(children[0] != children[1] && children[..2] == children[2..], "{children:?}");
    for _ in 0..2 {
        render_to(&pool, &picture(), MEMORY, of(3)).await.unwrap();
    }
    assert_eq!(pool.children_started(), 3, "a child of another owner is replaced, once");
    assert!(!children.contains(pool.idle_pids().last().unwrap()));
}

#[tokio::test]
async fn a_worker_that_requires_confinement_renders_in_no_child_without_it() {
    let with = |program, require_confinement| {
        Pool::start(PoolOptions { require_confinement, ..options(program, 1, 1, LONG) }).unwrap()
    };
    let refused = with(faulty("unconfined"), true).check_confinement().await;
    assert!(matches!(refused, Err(SandboxError::Unconfined(_))), "{refused:?}");
    assert!(!with(faulty("unconfined"), false).check_confinement().await.unwrap().is_sufficient());
    let confined = with(shipped(), true);
    assert!(confined.check_confinement().await.unwrap().seccomp);
    render(&confined, &picture(), MEMORY).await.unwrap();
}

/// Time is paused, so that it advances as soon as nothing happens.
#[tokio::test(start_paused = true)]
async fn a_request_fails_in_time_if_no_child_can_be_started() {
    let pool = pool(faulty("dead"), 1, 10, LONG);
    let error = render(&pool, &picture(), MEMORY).await.err();
    assert!(matches!(error, Some(SandboxError::Spawn(_))), "{error:?}");
}

#[tokio::test]
async fn a_child_that_keeps_much_memory_is_replaced() {
    let pool = pool(faulty("retain"), 1, 10, LONG);
    render(&pool, &picture(), MEMORY).await.unwrap();
    render(&pool, &picture(), MEMORY).await.unwrap();
    assert!(pool.children_started() >= 2);
    assert!(pool.retained_memory() <= MAX_RETAINED_MEMORY);
}

#[tokio::test]
async fn an_idle_child_keeps_little_of_the_memory_of_large_pictures() {
    let pool = pool(shipped(), 1, 10, LONG);
    let source = pictures::png(2000, 1500, ColorType::Rgb, BitDepth::Eight, &noise(2000 * 1500)[..2000 * 1500 * 3]);
    let resize = |format| Recipe::Resize(Resize { format: Some(format), ..Resize::default() });
    for format in [RenditionFormat::Jpeg, RenditionFormat::Webp] {
        render_as(&pool, &source, 1 << 30, resize(format)).await.unwrap();
        let kept = pool.retained_memory() >> 20;
        assert!(kept <= 64, "{kept} MiB after {format:?}");
        println!("{kept} MiB are kept after {format:?}, {} children", pool.children_started());
    }
}

#[tokio::test]
async fn a_lack_of_memory_that_a_library_reports_is_not_a_failure_of_the_picture() {
    assert!(matches!(error_of("library-memory", LONG).await, SandboxError::OutOfMemory { .. }));
}

/// Renders with less and less memory than estimated. Whatever allocation fails, the uploader is not told that the file is
/// broken.
#[tokio::test]
async fn too_little_memory_is_never_reported_as_a_broken_picture() {
    let pool = pool(shipped(), 1, 100, LONG);
    let (width, height) = (1500, 1000);
    let transparent = noise(width * height);
    let frame = |colour| {
        let place = [0, 0, 1500, 1000];
        GifFrame { place, colour: Some(colour), delay: 5, dispose: gif::DisposalMethod::Keep }
    };
    let moving = pictures::gif(1500, 1000, gif::Repeat::Infinite, &[frame([255, 0, 0]), frame([0, 99, 0])]);
    let sources = [
        pictures::webp(width, height, &transparent),
        pictures::webp(width, height, &vec![0xFF; transparent.len()]),
        Jpeg::new(1500, 1000).encode_rgb(|x, y| pictures::corners(1500, 1000, x, y)),
        pictures::png(width, height, ColorType::Rgba, BitDepth::Eight, &transparent),
        moving,
        pictures::jxl(true),
    ];
    let small =
        Resize { width: std::num::NonZeroU32::new(64), format: Some(RenditionFormat::Webp), ..Resize::default() };
    let recipe = Recipe::Resize(small);
    for source in &sources {
        let enough = MemoryEstimate::of_file(&header_of(source), source, &recipe).bytes(0) >> 20;
        for memory in (1..enough).rev().step_by(5) {
            match render_as(&pool, source, memory << 20, recipe.clone()).await {
                Ok(_) | Err(SandboxError::OutOfMemory { .. }) => {}
                other => panic!("{:?} with {memory} of {enough} MiB: {other:?}", header_of(source)),
            }
        }
    }
}

#[tokio::test]
async fn a_frame_larger_than_its_screen_is_rendered_within_its_estimate() {
    let pool = pool(shipped(), 1, 10, LONG);
    // The screen grows to hold the first frame, but not the second.
    let frames = [[0, 0, 10, 10], [0, 0, 5000, 3000]].map(|place| GifFrame {
        place,
        colour: Some([9, 99, 199]),
        delay: 1,
        dispose: gif::DisposalMethod::Keep,
    });
    let source = pictures::gif(10, 10, gif::Repeat::Infinite, &frames);
    assert_eq!(header_of(&source).decoded_pixels, 15_000_000);
    assert!(render_or_refuse(&pool, &source).await.is_ok());
}

#[tokio::test]
async fn an_idle_child_that_dies_costs_no_attempt() {
    let pool = pool(shipped(), 1, 10, LONG);
    render(&pool, &picture(), MEMORY).await.unwrap();
    let [child] = pool.idle_pids()[..] else { panic!("one child") };
    kill(child);
    exited(child).await;
    render(&pool, &picture(), MEMORY).await.unwrap();
    assert_eq!(pool.children_started(), 2);
}

#[tokio::test]
async fn dropping_a_rendering_kills_its_child() {
    let pool = pool(faulty("hang"), 1, 10, LONG);
    let source = picture();
    let dropped = tokio::time::timeout(Duration::from_millis(300), render(&pool, &source, MEMORY)).await;
    assert!(dropped.is_err());
    while pool.children_started() < 2 {
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
    exited(child.trim().parse().unwrap()).await;
}

/// Waits until a process has exited; it may still be a zombie.
async fn exited(pid: u32) {
    while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// Renders within the memory estimated from the header. Returns the number of renditions, or the failure.
async fn render_or_refuse(pool: &Pool, source: &[u8]) -> Result<usize, FailureCode> {
    let limits = HeaderLimits::default();
    let header = match header::read(&mut std::io::Cursor::new(source), &limits) {
        Ok(header) => header,
        Err(error) => return Err(error.failure().unwrap().code),
    };
    let memory = MemoryEstimate::of_file(&header, source, &Recipe::Standard).bytes(0);
    match render(pool, source, memory).await {
        Ok((_, renditions)) => Ok(renditions.len()),
        Err(SandboxError::Refused { failure, .. }) => Err(failure.code),
        Err(other) => panic!("{other:?} with {memory} bytes for {header:?}"),
    }
}

#[tokio::test]
async fn decompression_bombs_are_rendered_or_refused_within_their_memory_limit() {
    let pool = pool(shipped(), 1, 100, LONG);
    // Inflates to more than the memory limit of so small a picture.
    let compressed = pictures::compressed_chunk(&vec![0; 100 << 20]);
    for kind in [*b"iCCP", *b"zTXt"] {
        let chunks = [(kind, compressed.clone())];
        let bomb = pictures::png_with(16, 16, ColorType::Rgb, BitDepth::Eight, &[0; 768], &chunks);
        // Either result is fine; a crash panics in `render_or_refuse`.
        _ = render_or_refuse(&pool, &bomb).await;
    }
    let mut wide = pictures::png(1, 1, ColorType::Rgb, BitDepth::Eight, &[0; 3]);
    wide[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    assert_eq!(render_or_refuse(&pool, &wide).await, Err(FailureCode::TooLarge));
    let mut screen = pictures::gif(
        1,
        1,
        gif::Repeat::Infinite,
        &[GifFrame { place: [0, 0, 1, 1], colour: Some([1, 2, 3]), delay: 1, dispose: gif::DisposalMethod::Keep }],
    );
    screen[6..10].copy_from_slice(&[0xFF; 4]);
    assert_eq!(render_or_refuse(&pool, &screen).await, Err(FailureCode::TooLarge));
    // 16 million pixels of one colour in less than 10 kB.
    let side = 4000;
    let flat = pictures::webp(side, side, &vec![0x80; (side * side * 4) as usize]);
    assert!(flat.len() < 10_000, "{}", flat.len());
    assert!(render_or_refuse(&pool, &flat).await.is_ok());
    assert_eq!(render_or_refuse(&pool, &jpeg_with_scans(2000)).await, Err(FailureCode::TooLarge));
    assert!(render(&pool, &picture(), MEMORY).await.is_ok());
    // A child is replaced after a picture with much memory, and for no other reason.
    assert!(pool.children_started() <= 3, "{}", pool.children_started());
}

/// A JPEG with this number of scans.
fn jpeg_with_scans(count: usize) -> Vec<u8> {
    let once = Jpeg::new(64, 64).gray().encode(|_, _, _| 100);
    let scan = once.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let end = once.len() - 2;
    [&once[..scan], &once[scan..end].repeat(count), &once[end..]].concat()
}

#[tokio::test]
async fn damaged_pictures_crash_no_child() {
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
    // xorshift, so that every run has the same pictures.
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
        // Damage in the header may announce a large picture; such pictures are refused.
        _ = render_small_or_refuse(&pool, &source).await;
    }
    assert_eq!(pool.children_started(), 2);
}

async fn render_small_or_refuse(pool: &Pool, source: &[u8]) -> Result<usize, FailureCode> {
    let limits = HeaderLimits { width: 400, height: 400, pixels: 40_000, frames: 20, scans: 20 };
    match header::read(&mut std::io::Cursor::new(source), &limits) {
        Ok(_) => render_or_refuse(pool, source).await,
        Err(error) => Err(error.failure().unwrap().code),
    }
}
