//! Object keys.

use std::fmt;

use darkroom_model::{ImageId, Rendition};
use uuid::Uuid;

/// The folder of all renditions, below the bucket's prefix.
pub(super) const IMAGES: &str = "images";

/// The key of an object below the bucket's prefix: `images/<shard>/<image>/<name>-<hash>.<format>`.
///
/// The shard is the last byte of the image's id in hexadecimal digits, which is random. S3 limits requests per prefix of the
/// key, so without it all images of a day, whose ids begin alike, would share one limit.
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
        let mut parts = key.splitn(4, '/').skip(2);
        let (image, name) = (parts.next()?, parts.next()?);
        let image = Uuid::try_parse(image).ok().map(ImageId::from_uuid)?;
        let parsed = Self { image, name: name.to_owned() };
        // Another folder, another shard, or another spelling of the UUID.
        (parsed.to_string() == key).then_some(parsed)
    }

    /// The folder of an image's objects.
    pub(super) fn folder(image: ImageId) -> String {
        let [.., shard] = *image.as_uuid().as_bytes();
        format!("{IMAGES}/{shard:02x}/{image}")
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
        let shard = &image.to_string()[34..];
        assert_eq!(key.to_string(), format!("images/{shard}/{image}/w800-abababababababab.webp"));
        assert_eq!(key.image(), image);
        assert_eq!(ObjectKey::parse(&key.to_string()), Some(key));
    }

    #[test]
    fn other_keys_belong_to_no_image() {
        let image = ImageId::now();
        let uuid = image.as_uuid();
        let folder = ObjectKey::folder(image);
        let simple = folder.replace(&image.to_string(), &uuid.simple().to_string());
        let [other_shard, other_folder] = [format!("images/zz/{image}"), folder.replace("images", "other")];
        assert!(ObjectKey::parse(&format!("{folder}/x")).is_some());
        for folder in ["images/00/not-an-id", "images", "other", &simple, &other_shard, &other_folder] {
            assert_eq!(ObjectKey::parse(&format!("{folder}/x")), None, "{folder}");
        }
    }
}
