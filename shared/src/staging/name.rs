//! The name of an image's staged file, in a directory and in a bucket alike: `<owner>-<id>`.

use darkroom_model::{ImageId, OwnedImage, Owner};
use uuid::Uuid;

/// The name of the file staged for an image.
pub(super) fn file_name(owner: Owner, id: ImageId) -> String {
    format!("{owner}-{id}")
}

/// The image that a staged file belongs to; `None` for a file that staging did not write.
pub(super) fn image_of(name: &str) -> Option<OwnedImage> {
    let (owner, id) = name.split_once('-')?;
    let (owner, id) = (owner.parse().ok()?, ImageId::from_uuid(Uuid::try_parse(id).ok()?));
    // Another spelling is not of staging.
    (file_name(owner, id) == name).then_some(OwnedImage { owner, id })
}
