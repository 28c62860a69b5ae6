//! Object keys.

use std::fmt;

use darkroom_model::{ImageId, Rendition};
use uuid::Uuid;

/// The folder of all renditions, below the bucket's prefix.
pub(super) const IMAGES: &str = "images";

/// The key of an object below the bucket's prefix: `images/<image>/<name>-<hash>.<format>`.
///
/// The hash is of the object's content. An attempt that makes the same bytes again writes the same object, and one that
/// makes other bytes overwrites nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    image: ImageId,
    /// Everything below the image's folder.
    name: String,
}

impl ObjectKey {
    /// The key of a rendition. The hash in it is the first 8 bytes of the rendition's SHA-256.
    #[must_use]
    pub fn rendition(image: ImageId, rendition: &Rendition) -> Self {
        let format = rendition.format.as_str();
        // A rendition's name ends with its format: `w800.webp`.
        let stem = rendition.name.strip_suffix(format).and_then(|name| name.strip_suffix('.'));
        let stem = stem.unwrap_or(&rendition.name);
        let hash = hex::encode(&rendition.sha256[..8]);
        Self { image, name: format!("{stem}-{hash}.{format}") }
    }

    /// Parses a key. `None`: it is not the key of an image's object.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (image, name) = key.strip_prefix(IMAGES)?.strip_prefix('/')?.split_once('/')?;
        let id = Uuid::try_parse(image).ok().map(ImageId::from_uuid)?;
        // Other spellings of a UUID parse too, but would not print as they were read.
        (id.to_string() == image).then(|| Self { image: id, name: name.to_owned() })
    }

    /// The folder of an image's objects.
    pub(super) fn folder(image: ImageId) -> String {
        format!("{IMAGES}/{image}")
    }

    /// The image that the object belongs to.
    pub fn image(&self) -> ImageId {
        self.image
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Self::folder(self.image), self.name)
    }
}

#[cfg(test)]
mod tests {
    use darkroom_model::RenditionFormat;

    use super::*;

    fn rendition() -> Rendition {
        Rendition {
            name: "w800.webp".to_owned(),
            format: RenditionFormat::Webp,
            width: 800,
            height: 600,
            bytes: 1,
            sha256: [0xab; 32],
        }
    }

    #[test]
    fn a_key_names_its_image_and_its_content() {
        let image = ImageId::now();
        let key = ObjectKey::rendition(image, &rendition());
        assert_eq!(key.to_string(), format!("images/{image}/w800-abababababababab.webp"));
        assert_eq!(key.image(), image);
        assert_eq!(ObjectKey::parse(&key.to_string()), Some(key));
    }

    #[test]
    fn other_keys_belong_to_no_image() {
        let image = ImageId::now();
        for key in ["images/not-an-id/x", "images", "other/x", &format!("images/{}/x", image.as_uuid().simple())] {
            assert_eq!(ObjectKey::parse(key), None, "{key}");
        }
    }
}
