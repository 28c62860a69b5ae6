//! Images: upload them, list them, look at one, fetch its renditions, delete it.

mod fields;
mod form;
mod params;
mod upload;
mod wire;

use darkroom_model::ImageId;
use darkroom_queue::{self, Enqueue};
use darkroom_shared::{
    catalog::{self, Filter},
    jobs::DeleteImage,
};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use url::form_urlencoded;
use uuid::Uuid;

pub(crate) use self::wire::SourceFormat;
use self::{
    form::Form,
    params::{Cursor, PageSize, TitlePart},
    wire::{Image, ImageDetail, Page, Rendition, Status},
};
use crate::{
    App, Tag,
    error::{ApiError, Problems, Result},
};

/// Seconds after which a client may look again at an image that is being rendered.
const LOOK_AGAIN: u64 = 1;

pub(crate) struct Images {
    app: App,
}

impl Images {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

/// Where an image is found.
fn location(id: ImageId) -> String {
    format!("/v1/images/{id}")
}

#[OpenApi(prefix_path = "/v1/images", tag = "Tag::Images")]
impl Images {
    /// Upload an image
    ///
    /// Stores the file and answers at once; a worker renders it. Without a wish the standard set is made: the
    /// optimised picture, at most 2560 pixels wide, and widths of 320, 800 and 1600, never enlarged, each in WebP and
    /// in JPEG or PNG. Any other field but `title` and `lane` asks for exactly one rendition. It is made in this order:
    /// turn upright, `crop`, `rotate`, `flip` and `flop`, resize, `grayscale`, `blur`, `sharpen`, fill up the box, lay on
    /// the `background`, lay the `overlay` on, encode.
    ///
    /// Once this has answered 202 the image is safe: it will end as `ready`, or as `failed` with a reason.
    #[oai(path = "/", method = "post", operation_id = "upload_image")]
    async fn upload(&self, form: Form) -> Result<Accepted, UploadProblems> {
        let upload = upload::receive(form, &self.app).await?;
        let (image, created_at) = upload::accept(upload, &self.app).await?;
        tracing::info!(image = %image.id, bytes = image.source.bytes, "accepted");
        let location = location(image.id);
        Ok(Accepted::Accepted(Json(Image::accepted(image, created_at)), location))
    }

    /// List images
    ///
    /// Newest first, in pages. Images added meanwhile do not shift the pages that follow.
    #[oai(path = "/", method = "get", operation_id = "list_images")]
    async fn list(
        &self,
        /// Only images with this in their title, in any case and any script. `%` and `_` mean themselves.
        title: Query<Option<TitlePart>>,
        /// Only images in this state.
        status: Query<Option<Status>>,
        /// How many at most.
        limit: Query<Option<PageSize>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<Cursor>>,
    ) -> Result<Listed, ListProblems> {
        let limit = limit.0.unwrap_or(PageSize::DEFAULT);
        let filter = Filter {
            title: title.0.map(|part| part.0).filter(|part| !part.is_empty()),
            status: status.0.map(Into::into),
            before: cursor.0.map(|cursor| cursor.0),
            // One more, to learn whether there is a next page.
            limit: i64::from(limit.0) + 1,
        };
        let mut images = catalog::list(&mut *self.app.db.acquire().await?, &filter).await?;
        let more = images.len() > usize::from(limit.0);
        images.truncate(limit.0.into());
        let next = images.last().filter(|_| more).map(|last| Cursor(last.id).encode());
        let link = next.as_ref().map(|next| link(&filter, limit, next));
        Ok(Listed::Listed(Json(Page::new(images, next)), link))
    }

    /// Look at an image
    ///
    /// While it is `queued` or `processing`, `Retry-After` says when to look again.
    #[oai(path = "/:id", method = "get", operation_id = "get_image")]
    async fn get(
        &self,
        /// The image's id.
        id: Path<Uuid>,
    ) -> Result<Found, ImageProblems> {
        let id = ImageId::from_uuid(id.0);
        let mut db = self.app.db.acquire().await?;
        let image = catalog::get(&mut db, id).await?.ok_or(NO_IMAGE)?;
        let stored = catalog::renditions(&mut db, id).await?;
        drop(db);
        let mut renditions = Vec::with_capacity(stored.len());
        for rendition in stored {
            let url = self.app.bucket.url(id, &rendition).await?;
            renditions.push(Rendition::new(rendition, url));
        }
        let image = ImageDetail::new(image, renditions);
        let look_again = image.is_pending().then_some(LOOK_AGAIN);
        Ok(Found::Found(Json(image), look_again))
    }

    /// Fetch a rendition
    ///
    /// Redirects to the file in the bucket. This address lasts as long as the image; the one it leads to may not.
    #[oai(path = "/:id/renditions/:name", method = "get", operation_id = "get_rendition")]
    async fn rendition(
        &self,
        /// The image's id.
        id: Path<Uuid>,
        /// The rendition's name; for example `w800.webp`.
        name: Path<String>,
    ) -> Result<Redirected, RenditionProblems> {
        let id = ImageId::from_uuid(id.0);
        let mut db = self.app.db.acquire().await?;
        catalog::get(&mut db, id).await?.ok_or(NO_IMAGE)?;
        let renditions = catalog::renditions(&mut db, id).await?;
        drop(db);
        let rendition = renditions.iter().find(|rendition| rendition.name == name.0);
        let url = self.app.bucket.url(id, rendition.ok_or(ApiError::NotFound("rendition"))?).await?;
        // A browser may go there again by itself while the signature lasts; after half of it, it should ask.
        let cache = format!("private, max-age={}", self.app.presigned.as_secs() / 2);
        Ok(Redirected::Redirected(url.into(), cache))
    }

    /// Delete an image
    ///
    /// It is gone for clients at once; a job then removes its renditions from the bucket. URLs into the bucket that
    /// were handed out before may work until that is done, and copies in caches for longer.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_image")]
    async fn delete(
        &self,
        /// The image's id.
        id: Path<Uuid>,
    ) -> Result<Deleted, ImageProblems> {
        let image = ImageId::from_uuid(id.0);
        let mut transaction = self.app.db.begin().await?;
        if !catalog::mark_deleting(&mut transaction, image).await? {
            return Err(NO_IMAGE.into());
        }
        darkroom_queue::enqueue(&mut transaction, &DeleteImage { image }, &Enqueue::default()).await?;
        transaction.commit().await?;
        tracing::info!(%image, "to be deleted");
        Ok(Deleted::Deleted)
    }
}

const NO_IMAGE: ApiError = ApiError::NotFound("image");

/// The next page as a link (RFC 8288), with the same filter.
fn link(filter: &Filter, limit: PageSize, cursor: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(title) = &filter.title {
        query.append_pair("title", title);
    }
    if let Some(status) = filter.status {
        query.append_pair("status", status.as_str());
    }
    query.append_pair("limit", &limit.0.to_string()).append_pair("cursor", cursor);
    format!("</v1/images?{}>; rel=\"next\"", query.finish())
}

#[derive(ApiResponse)]
enum Accepted {
    /// Accepted, and safe. It will be rendered.
    #[oai(status = 202, content_type = "application/json")]
    Accepted(
        Json<Image>,
        /// The image.
        #[oai(header = "Location")]
        String,
    ),
}

#[derive(ApiResponse)]
enum Listed {
    /// A page of images.
    #[oai(status = 200, content_type = "application/json")]
    Listed(
        Json<Page>,
        /// The next page, if there is one: `<…>; rel="next"`.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Found {
    /// The image.
    #[oai(status = 200, content_type = "application/json")]
    Found(
        Json<ImageDetail>,
        /// In how many seconds to look again, while it is being rendered.
        #[oai(header = "Retry-After")]
        Option<u64>,
    ),
}

#[derive(ApiResponse)]
enum Redirected {
    /// The file is there.
    #[oai(status = 307)]
    Redirected(
        /// The file in the bucket.
        #[oai(header = "Location")]
        String,
        /// How long to keep this answer.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

#[derive(ApiResponse)]
enum Deleted {
    /// It is gone for clients, and will be gone from the bucket.
    #[oai(status = 202)]
    Deleted,
}

const UNAVAILABLE: (u16, &str) = (503, "The service is short of something it needs. Try again later.");
const NO_SUCH_IMAGE: (u16, &str) = (404, "There is no such image, or no longer.");

struct UploadProblems;

impl Problems for UploadProblems {
    const LIST: &[(u16, &str)] = &[
        (400, "The form is malformed, incomplete, or has a field unknown or twice."),
        (408, "The rest of the upload did not arrive in time."),
        (413, "The file has more bytes than are accepted; `limit_bytes` says how many."),
        (415, "The body is no form, or the file no picture that is read; `supported_formats` lists them."),
        (
            422,
            "A field is out of range, the overlay is no image that is ready, or the picture is damaged or has more pixels or \
             frames than are accepted.",
        ),
        UNAVAILABLE,
    ];
}

struct ListProblems;

impl Problems for ListProblems {
    const LIST: &[(u16, &str)] = &[(400, "A parameter is not valid; `parameter` says which."), UNAVAILABLE];
}

struct ImageProblems;

impl Problems for ImageProblems {
    const LIST: &[(u16, &str)] = &[NO_SUCH_IMAGE, UNAVAILABLE];
}

struct RenditionProblems;

impl Problems for RenditionProblems {
    const LIST: &[(u16, &str)] = &[(404, "There is no such image or rendition, or no longer."), UNAVAILABLE];
}
