//! Renditions into the bucket.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use darkroom_model::{OwnedImage, Rendition};
use darkroom_pipeline::Rendered;
use darkroom_shared::bucket::BucketError;
use futures::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::App;

/// Renditions of one image that are stored at once.
const CONCURRENCY: usize = 4;

/// Counts the requests of an attempt that store objects.
#[derive(Debug, Default)]
pub(super) struct Puts {
    begun: AtomicUsize,
    answered: AtomicUsize,
}

impl Puts {
    /// Whether the attempt has stored no object.
    pub(super) fn is_empty(&self) -> bool {
        self.begun.load(Ordering::Relaxed) == 0
    }

    /// Whether the bucket has answered every request: none may still be carried out.
    pub(super) fn are_settled(&self) -> bool {
        self.begun.load(Ordering::Relaxed) == self.answered.load(Ordering::Relaxed)
    }
}

/// Stores every rendition until the sender is dropped. An error drops the receiver.
pub(super) async fn store_all(
    app: &App,
    image: OwnedImage,
    renditions: mpsc::Receiver<Rendered>,
    puts: &Puts,
) -> Result<Vec<Rendition>, BucketError> {
    ReceiverStream::new(renditions)
        .map(|rendered| store(app, image, rendered, puts))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

async fn store(app: &App, image: OwnedImage, rendered: Rendered, puts: &Puts) -> Result<Rendition, BucketError> {
    let rendition = Rendition {
        name: rendered.name,
        format: rendered.format,
        width: rendered.width,
        height: rendered.height,
        bytes: rendered.bytes.len() as u64,
        sha256: Sha256::digest(&rendered.bytes).into(),
    };
    puts.begun.fetch_add(1, Ordering::Relaxed);
    app.bucket.put(image.owner, image.id, &rendition, Bytes::from(rendered.bytes)).await?;
    puts.answered.fetch_add(1, Ordering::Relaxed);
    Ok(rendition)
}
