//! The main loop of a child process: it confines itself, then renders one picture per request.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    process::{ExitCode, abort},
    thread,
};

use darkroom_model::ImageAnalysis;

use super::{
    confinement::{close_inherited_descriptors, confine},
    protocol::{self, Frame, ProtocolError, RenderRequest, Reply},
};

use darkroom_pipeline::{Emit, Files, RenderError, Rendered, panic_is_caught, render, start_threads};

/// The socket to the worker is its stdin, in both directions.
type Socket = std::os::unix::net::UnixStream;

/// Free memory that the allocator may keep between requests, in bytes: small pictures then need no page from the kernel.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAX_FREE_MEMORY: usize = 16 << 20;

/// Renders a request: emits renditions, and returns the analysis or an error.
pub type Render<'a> = dyn FnMut(&RenderRequest, Files<'_>, Emit<'_>) -> Result<ImageAnalysis, RenderError> + 'a;

/// Runs the child until the worker closes the socket. Call it before the process has a second thread.
pub fn main() -> ExitCode {
    serve(&mut |request, files, emit| render(files, &request.recipe, &request.limits, emit))
}

/// [`main`] with another function than the pipeline's, for tests of faulty children.
pub fn serve(render: &mut Render<'_>) -> ExitCode {
    match run(render) {
        // The worker has closed the socket or exited.
        Ok(()) | Err(ProtocolError::Io(_)) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(render: &mut Render<'_>) -> Result<(), ProtocolError> {
    close_inherited_descriptors()?;
    // A panic outside a decoder ends the child, and its message is the evidence of the crash. The hook is not called when
    // libjpeg unwinds.
    std::panic::set_hook(Box::new(|panic| {
        _ = writeln!(io::stderr(), "{panic}");
        if !panic_is_caught() {
            abort();
        }
    }));
    // Nobody reads stderr while the child runs: a codec that fills the pipe must not block.
    rustix::io::ioctl_fionbio(io::stderr(), true).map_err(io::Error::from)?;
    // The kernel's OOM killer then picks this process and not the worker. Must precede confinement, which forbids
    // files.
    _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut socket = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
    let confinement = confine(|| _ = start_threads(spare_cores()))?;
    protocol::write(&mut socket, &Reply::Ready(confinement), &[])?;
    loop {
        // The worker is trusted, and the child's memory is limited, so the body needs no limit.
        let Frame { head, body } = protocol::read::<RenderRequest>(&mut socket, u64::MAX)?;
        let overlay = match head.recipe.overlay() {
            Some(_) => Some(protocol::read::<()>(&mut socket, u64::MAX)?.body),
            None => None,
        };
        let files = Files { source: &body, overlay: overlay.as_deref() };
        let result = render(&head, files, &mut |rendered| {
            let Rendered { name, format, width, height, bytes } = rendered;
            let head = Reply::Rendition { name, format, width, height };
            protocol::write(&mut socket, &head, &bytes).map_err(Into::into)
        });
        drop((body, overlay));
        protocol::write(&mut socket, &reply(result), &[])?;
        return_free_memory();
    }
}

/// Cores besides the first.
fn spare_cores() -> u32 {
    thread::available_parallelism().map_or(0, |cores| u32::try_from(cores.get() - 1).unwrap_or(u32::MAX))
}

/// Returns the memory that the allocator keeps free to the kernel if it is more than [`MAX_FREE_MEMORY`].
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "FFI")]
fn return_free_memory() {
    // SAFETY: both functions only use the allocator's own state, under its lock.
    unsafe {
        let info = libc::mallinfo2();
        if info.fordblks > MAX_FREE_MEMORY {
            libc::malloc_trim(0);
        }
    }
}

/// Only glibc can be asked to; elsewhere the worker replaces a child that keeps much.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn return_free_memory() {}

fn reply(result: Result<ImageAnalysis, RenderError>) -> Reply {
    // The errors of decoders may quote the file.
    let short = |error: &RenderError| error.to_string().chars().take(1000).collect();
    match result {
        Ok(analysis) => Reply::Done(analysis),
        Err(error @ RenderError::OutOfMemory(_)) => Reply::OutOfMemory { cause: short(&error) },
        Err(error) => match error.failure() {
            Some(failure) => Reply::Refused { failure, cause: short(&error) },
            None => Reply::Failed { cause: short(&error) },
        },
    }
}
