//! Renditions into the bucket.

use std::sync::atomic::{AtomicBool, Ordering};

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

/// Stores every rendition until the sender is dropped. An error drops the receiver. Sets `has_stored` before the first
/// request.
pub(super) async fn store_all(
    app: &App,
    image: OwnedImage,
    renditions: mpsc::Receiver<Rendered>,
    has_stored: &AtomicBool,
) -> Result<Vec<Rendition>, BucketError> {
    ReceiverStream::new(renditions)
        .inspect(|_| has_stored.store(true, Ordering::Relaxed))
        .map(|rendered| store(app, image, rendered))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

async fn store(app: &App, image: OwnedImage, rendered: Rendered) -> Result<Rendition, BucketError> {
    let rendition = Rendition {
        name: rendered.name,
        format: rendered.format,
        width: rendered.width,
        height: rendered.height,
        bytes: rendered.bytes.len() as u64,
        sha256: Sha256::digest(&rendered.bytes).into(),
    };
    app.bucket.put(image.owner, image.id, &rendition, Bytes::from(rendered.bytes)).await?;
    Ok(rendition)
}
