//! The name of an image's staged file: its id, in a directory and in a bucket alike.

use darkroom_model::ImageId;
use uuid::Uuid;

/// The name of the file staged for an image.
pub(super) fn file_name(image: ImageId) -> String {
    image.to_string()
}

/// The image that a staged file belongs to; `None` for a file that staging did not write.
pub(super) fn image_of(file_name: &str) -> Option<ImageId> {
    Uuid::try_parse(file_name).ok().map(ImageId::from_uuid)
}
