//! The worker's side of one request, after it has been sent: what the child replies until the request ends.
//!
//! A child may be under an attacker's control. Every read has the request's deadline, the files of all renditions together
//! have a maximum length, and every text is cut and cleaned.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use darkroom_model::{Failure, ImageAnalysis};
use darkroom_pipeline::Rendered;
use tokio::{io::AsyncRead, sync::mpsc, time::timeout};

use super::{
    CrashCause, SandboxError,
    protocol::{self, Frame, ProtocolError, Reply},
    validate::{validate_analysis, validate_rendition},
};

/// Maximum length of a failure's text for the uploader, in characters.
const MAX_DETAIL: usize = 300;
/// Maximum length of a cause, in characters.
const MAX_CAUSE: usize = 1000;

/// How a request ends without an analysis.
#[derive(Debug)]
pub enum Ended {
    /// By a reply of the child, or by the receiver of the renditions.
    Error(SandboxError),
    /// The connection broke, or the child sent something else than a frame.
    Broken(ProtocolError),
    /// No time remains.
    Late,
}

impl Ended {
    fn invalid(what: &str) -> Self {
        Self::Error(SandboxError::Crashed { cause: CrashCause::Picture, evidence: format!("it returned {what}") })
    }
}

/// Receives replies until one ends the request. Sends each rendition as soon as it has arrived; the files of all together
/// have at most `max_bytes`.
///
/// # Errors
/// [`Ended`]. The child is usable afterwards only where the reply says that the picture was refused or failed.
pub async fn receive_renditions(
    reader: &mut (impl AsyncRead + Unpin),
    max_bytes: u64,
    remaining: &mut RemainingTime,
    renditions: &mpsc::Sender<Rendered>,
) -> Result<ImageAnalysis, Ended> {
    let (mut names, mut max_bytes) = (HashSet::new(), max_bytes);
    loop {
        let Frame { head, body } = match remaining.run(protocol::receive(reader, max_bytes)).await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(Ended::Broken(error)),
            None => return Err(Ended::Late),
        };
        max_bytes -= body.len() as u64;
        match head {
            Reply::Rendition { name, format, width, height } => {
                let rendered = Rendered { name, format, width, height, bytes: body };
                validate_rendition(&rendered, &mut names).map_err(Ended::invalid)?;
                // Not counted as the child's time: it is the bucket's.
                renditions.send(rendered).await.map_err(|_| Ended::Error(SandboxError::ReceiverClosed))?;
            }
            Reply::Done(analysis) => {
                validate_analysis(&analysis).map_err(Ended::invalid)?;
                return Ok(analysis);
            }
            Reply::Refused { failure, cause } => {
                let failure = Failure { detail: cleaned(&failure.detail, MAX_DETAIL), ..failure };
                return Err(Ended::Error(SandboxError::Refused { failure, cause: cleaned(&cause, MAX_CAUSE) }));
            }
            Reply::Failed { cause } => {
                return Err(Ended::Error(SandboxError::Failed { cause: cleaned(&cause, MAX_CAUSE) }));
            }
            Reply::OutOfMemory { cause } => {
                return Err(Ended::Error(SandboxError::OutOfMemory { evidence: cleaned(&cause, MAX_CAUSE) }));
            }
            Reply::Ready(_) => {
                return Err(Ended::invalid("a reply out of order"));
            }
        }
    }
}

/// A text of the child without control characters and with at most `max` characters.
fn cleaned(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(max).collect()
}

/// The time that remains until the deadline of a request.
#[derive(Debug)]
pub struct RemainingTime(Duration);

impl RemainingTime {
    /// All of the time remains.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self(deadline)
    }

    /// Runs a future and subtracts the time that it takes. `None`: no time remains.
    pub(super) async fn run<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let start = Instant::now();
        let output = timeout(self.0, future).await.ok();
        self.0 = self.0.saturating_sub(start.elapsed());
        output
    }
}

#[cfg(test)]
mod tests {
    use darkroom_model::{FailureCode, RenditionFormat};

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1A\n";

    fn frame(head: &Reply, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        protocol::write(&mut bytes, head, body).unwrap();
        bytes
    }

    fn rendition(number: u32, length: usize) -> Vec<u8> {
        let head =
            Reply::Rendition { name: format!("r{number}.png"), format: RenditionFormat::Png, width: 1, height: 1 };
        let mut body = PNG.to_vec();
        body.resize(length, 0);
        frame(&head, &body)
    }

    async fn receive(mut replies: &[u8], max_bytes: u64) -> Result<ImageAnalysis, Ended> {
        let (sender, mut renditions) = mpsc::channel(64);
        let mut remaining = RemainingTime::new(Duration::from_mins(1));
        let result = receive_renditions(&mut replies, max_bytes, &mut remaining, &sender).await;
        drop(sender);
        let mut received = 0;
        while let Some(rendition) = renditions.recv().await {
            received += rendition.bytes.len() as u64;
        }
        assert!(received <= max_bytes);
        result
    }

    #[tokio::test]
    async fn the_files_of_all_renditions_together_have_a_maximum_length() {
        let replies: Vec<u8> = (0..5).flat_map(|number| rendition(number, 30)).collect();
        let error = receive(&replies, 100).await.err();
        assert!(matches!(error, Some(Ended::Broken(ProtocolError::TooLong { body: 30, .. }))), "{error:?}");
    }

    #[tokio::test]
    async fn texts_of_a_child_are_cut_and_cleaned() {
        let long = "\u{1b}[2J\n".repeat(2000);
        let failure = Failure { code: FailureCode::BrokenImage, detail: long.clone() };
        let replies = frame(&Reply::Refused { failure, cause: long.clone() }, &[]);
        let Err(Ended::Error(SandboxError::Refused { failure, cause })) = receive(&replies, 0).await else { panic!() };
        let failed = receive(&frame(&Reply::Failed { cause: long }, &[]), 0).await;
        let Err(Ended::Error(SandboxError::Failed { cause: failed })) = failed else { panic!() };
        for (text, max) in [(failure.detail, MAX_DETAIL), (cause, MAX_CAUSE), (failed, MAX_CAUSE)] {
            assert!(text.chars().count() <= max && !text.contains(char::is_control), "{text}");
        }
    }

    #[tokio::test]
    async fn a_conversation_that_breaks_off_is_an_error() {
        let replies = rendition(1, 20);
        for length in 0..=replies.len() {
            assert!(matches!(receive(&replies[..length], 100).await, Err(Ended::Broken(ProtocolError::Io(_)))));
        }
    }
}
