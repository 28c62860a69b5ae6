//! Stores an upload as an object, and leaves no parts of one that does not complete.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, ObjectStoreExt as _, aws::AmazonS3, path::Path};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _},
    sync::oneshot,
    task::JoinSet,
};

use super::{Received, StagingError};

/// Size of the parts in which an upload goes to a bucket, in bytes; S3 allows none smaller than 5 MiB.
const PART: usize = 5 << 20;
/// Parts of one upload that are sent at once.
const PARTS_AT_ONCE: usize = 4;

/// Stores an upload under `to`. Cancellation aborts the multipart upload: S3 keeps, and charges for, the parts of incomplete ones.
/// A crash still leaves them; a lifecycle rule of the bucket removes them (`AbortIncompleteMultipartUpload`).
pub(super) async fn store_object(bucket: &Arc<AmazonS3>, to: Path, received: Received) -> Result<(), StagingError> {
    let mut file = File::open(&received.path).await.map_err(StagingError::disk("read an upload"))?;
    if received.bytes <= PART as u64 {
        let bytes = read_part(&mut file).await.map_err(StagingError::disk("read an upload"))?;
        return bucket.put(&to, bytes.into()).await.map(drop).map_err(StagingError::bucket("store an upload"));
    }
    // A task of its own, which survives the request.
    let (request, request_ended) = oneshot::channel::<()>();
    let bucket = Arc::clone(bucket);
    let stored = tokio::spawn(async move {
        let mut upload = bucket.put_multipart(&to).await.map_err(StagingError::bucket("store an upload"))?;
        let stored = tokio::select! {
            stored = store_parts(&mut *upload, &mut file) => stored,
            _ = request_ended => Err(StagingError::disk("store an upload")(io::ErrorKind::ConnectionAborted.into())),
        };
        if stored.is_err()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!("a multipart upload to staging could not be aborted: {error}");
        }
        drop(received);
        stored
    });
    let stored = stored.await;
    drop(request);
    stored.map_err(|error| StagingError::disk("store an upload")(io::Error::other(error)))?
}

async fn store_parts(
    upload: &mut dyn MultipartUpload,
    file: &mut (impl AsyncRead + Unpin),
) -> Result<(), StagingError> {
    let mut sending = JoinSet::new();
    loop {
        let part = read_part(file).await.map_err(StagingError::disk("read an upload"))?;
        if part.is_empty() {
            break;
        }
        sending.spawn(upload.put_part(part.into()));
        if sending.len() >= PARTS_AT_ONCE {
            joined(sending.join_next().await)?;
        }
    }
    while !sending.is_empty() {
        joined(sending.join_next().await)?;
    }
    upload.complete().await.map(drop).map_err(StagingError::bucket("store an upload"))
}

fn joined(part: Option<Result<object_store::Result<()>, tokio::task::JoinError>>) -> Result<(), StagingError> {
    match part {
        Some(Ok(sent)) => sent.map_err(StagingError::bucket("store an upload")),
        Some(Err(error)) => Err(StagingError::disk("store an upload")(io::Error::other(error))),
        None => Ok(()),
    }
}

/// The next bytes, as many as a part has or the file still has.
async fn read_part(file: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut part = BytesMut::new();
    let mut rest = file.take(PART as u64);
    while rest.read_buf(&mut part).await? > 0 {}
    Ok(part.freeze())
}
