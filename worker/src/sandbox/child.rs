//! The child process: confines itself, then renders what it is ordered to, one picture after the other.

use std::{
    io::{self, Write as _},
    os::fd::AsFd as _,
    process::{ExitCode, abort},
};

use darkroom_model::ImageAnalysis;

use super::{
    confinement::confine,
    protocol::{self, Frame, Order, ProtocolError, Reply},
};

use darkroom_pipeline::{Emit, Files, RenderError, Rendered, render};

/// The socket to the worker is its stdin, in both directions.
type Socket = std::os::unix::net::UnixStream;

/// What a child does with an order and its files: hands over renditions, and says how it ended.
pub type Work<'a> = dyn FnMut(&Order, Files<'_>, Emit<'_>) -> Result<ImageAnalysis, RenderError> + 'a;

/// Runs the child until the worker closes the socket. To be called before the process has a second thread.
pub fn main() -> ExitCode {
    serve(&mut |order, files, emit| render(files, &order.recipe, &order.limits, emit))
}

/// The same with other work in the place of the pipeline's: for tests of what a child may do wrong.
pub fn serve(work: &mut Work<'_>) -> ExitCode {
    match run(work) {
        // The worker has closed the socket, or is gone.
        Ok(()) | Err(ProtocolError::Io(_)) => ExitCode::SUCCESS,
        Err(error) => {
            _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(work: &mut Work<'_>) -> Result<(), ProtocolError> {
    // A panic is a bug: it ends the child, and is the evidence of its crash. libjpeg's unwinding is none, and does not
    // come here.
    std::panic::set_hook(Box::new(|panic| {
        _ = writeln!(io::stderr(), "{panic}");
        abort();
    }));
    // With nobody reading, a codec that complains again and again must not block.
    rustix::io::ioctl_fionbio(io::stderr(), true).map_err(io::Error::from)?;
    // Before files are out of reach, and so that the kernel, short of memory, ends this process and not its worker.
    _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let mut socket = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
    let confinement = confine()?;
    protocol::write(&mut socket, &Reply::Ready(confinement), &[])?;
    loop {
        // The order comes from the worker, which is trusted; memory is limited for each.
        let Frame { head, body } = protocol::read::<Order>(&mut socket, u64::MAX)?;
        let overlay = match head.recipe.overlay() {
            Some(_) => Some(protocol::read::<()>(&mut socket, u64::MAX)?.body),
            None => None,
        };
        let files = Files { source: &body, overlay: overlay.as_deref() };
        let result = work(&head, files, &mut |rendered| {
            let Rendered { name, format, width, height, bytes } = rendered;
            let head = Reply::Rendition { name, format, width, height };
            protocol::write(&mut socket, &head, &bytes).map_err(Into::into)
        });
        drop((body, overlay));
        protocol::write(&mut socket, &answer(result), &[])?;
    }
}

fn answer(result: Result<ImageAnalysis, RenderError>) -> Reply {
    // Causes name decoders' errors, which may quote the file.
    let short = |error: &RenderError| error.to_string().chars().take(1000).collect();
    match result {
        Ok(facts) => Reply::Done(facts),
        Err(error) => match error.failure() {
            Some(failure) => Reply::Refused { failure, cause: short(&error) },
            None => Reply::Failed { cause: short(&error) },
        },
    }
}
