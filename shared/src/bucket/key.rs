//! Object keys.

use std::fmt;

use darkroom_model::{ImageId, OwnedImage, Owner, Rendition};
use uuid::Uuid;

/// The folder of all renditions, below the bucket's prefix.
pub(super) const IMAGES: &str = "images";

/// The key of an object below the bucket's prefix: `images/<shard>/<owner>/<image>/<name>-<hash>.<format>`.
///
/// The shard is the last byte of the image's id in hexadecimal digits, which is random. S3 limits requests per prefix of the
/// key, so without it all images of a day, whose ids begin alike, would share one limit.
///
/// The hash is of the object's content. An attempt that makes the same bytes again writes the same object, and one that
/// makes other bytes overwrites nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    image: OwnedImage,
    /// Everything below the image's folder.
    name: String,
}

impl ObjectKey {
    /// The key of a rendition. The hash in it is the first 8 bytes of the rendition's SHA-256.
    #[must_use]
    pub fn rendition(owner: Owner, id: ImageId, rendition: &Rendition) -> Self {
        let format = rendition.format.as_str();
        // A rendition's name ends with its format: `w800.webp`.
        let stem = rendition.name.strip_suffix(format).and_then(|name| name.strip_suffix('.'));
        let stem = stem.unwrap_or(&rendition.name);
        let hash = hex::encode(&rendition.sha256[..8]);
        Self { image: OwnedImage { owner, id }, name: format!("{stem}-{hash}.{format}") }
    }

    /// Parses a key. `None`: it is not the key of an image's object.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.splitn(5, '/').skip(2);
        let (owner, id, name) = (parts.next()?, parts.next()?, parts.next()?);
        let image = OwnedImage { owner: owner.parse().ok()?, id: ImageId::from_uuid(Uuid::try_parse(id).ok()?) };
        let parsed = Self { image, name: name.to_owned() };
        // Another folder, another shard, or another spelling of the owner or the UUID.
        (parsed.to_string() == key).then_some(parsed)
    }

    /// The folder of an image's objects.
    pub(super) fn folder(image: OwnedImage) -> String {
        let [.., shard] = *image.id.as_uuid().as_bytes();
        format!("{IMAGES}/{shard:02x}/{image}")
    }

    /// The image that the object belongs to.
    pub fn image(&self) -> OwnedImage {
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
        let (owner, id) = (Owner::from_id(7), ImageId::now());
        let key = ObjectKey::rendition(owner, id, &rendition());
        let shard = &id.to_string()[34..];
        assert_eq!(key.to_string(), format!("images/{shard}/7/{id}/w800-abababababababab.webp"));
        assert_eq!(key.image(), OwnedImage { owner, id });
        assert_eq!(ObjectKey::parse(&key.to_string()), Some(key));
    }

    #[test]
    fn other_keys_belong_to_no_image() {
        let image = OwnedImage { owner: Owner::from_id(7), id: ImageId::now() };
        let folder = ObjectKey::folder(image);
        let simple = folder.replace(&image.id.to_string(), &image.id.as_uuid().simple().to_string());
        let [other_shard, other_folder] = [format!("images/zz/{image}"), folder.replace("images", "other")];
        let [no_owner, zeros] = [folder.replace("/7/", "/"), folder.replace("/7/", "/07/")];
        assert!(ObjectKey::parse(&format!("{folder}/x")).is_some());
        let others = [&simple, &other_shard, &other_folder, &no_owner, &zeros].map(String::as_str);
        for folder in [&["images/00/1/not-an-id", "images", "other"][..], &others].concat() {
            assert_eq!(ObjectKey::parse(&format!("{folder}/x")), None, "{folder}");
        }
    }
}
