//! The resource `/v1/images`: upload, list, get, delete; the renditions of an image.
//!
//! | module | contents |
//! |---|---|
//! | `backlog` | the bound of images that wait to be rendered |
//! | `form` | the multipart form as a stream |
//! | `fields` | the fields of the form: names and parsing |
//! | `schema` | the form in the `OpenAPI` document |
//! | `upload` | receiving and accepting an upload |
//! | `params` | the parameters of URLs |
//! | `wire` | images in JSON |
//! | `responses` | the responses and problems of each operation |

pub(crate) mod backlog;
mod fields;
mod form;
mod params;
mod responses;
mod schema;
mod upload;
mod wire;

use darkroom_model::{ImageId, Owner};
use darkroom_queue::Job as _;
use darkroom_shared::{
    catalog::{self, CatalogError, Filter},
    jobs::{DeleteImage, delete_image_options},
};
use poem::Request;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};
use sqlx::PgConnection;
use url::form_urlencoded;
use uuid::Uuid;

use self::{
    form::Form,
    params::TitlePart,
    responses::{
        DeleteResponse, ImageProblems, ImageResponse, ListProblems, ListResponse, RenditionProblems, RenditionResponse,
        UploadProblems, UploadResponse,
    },
    wire::{Image, ImageDetail, Page, Rendition, Status},
};
use crate::{
    App, Tag,
    auth::scheme::{Read, Upload, Write},
    error::ApiError,
    http::middleware::IsHead,
    operation_error::Result,
    paging::{Cursor, PageSize},
};

/// `Retry-After` of an image that is queued or processing, in seconds.
const RETRY_AFTER: u64 = 1;

/// The resource `/v1/images`.
pub(crate) struct Images {
    app: App,
}

const NO_IMAGE: ApiError = ApiError::NotFound("image");

impl Images {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }

    /// The image and its renditions.
    async fn find(
        &self,
        owner: Owner,
        id: ImageId,
    ) -> std::result::Result<(catalog::Image, Vec<darkroom_model::Rendition>), ApiError> {
        let find = async |db: &mut PgConnection| -> std::result::Result<_, CatalogError> {
            let Some(image) = catalog::get(db, owner, id).await? else { return Ok(None) };
            Ok(Some((image, catalog::known_renditions(db, owner, id).await?)))
        };
        self.app.db.run(find).await?.ok_or(NO_IMAGE)
    }
}

#[OpenApi(prefix_path = "/v1/images", tag = "Tag::Images")]
impl Images {
    /// Upload an image
    ///
    /// Stores the file and responds at once; a worker renders it. By default the standard set is rendered: the
    /// optimised image, at most 2560 pixels wide, and widths of 320, 800 and 1600, never enlarged, each in WebP and in
    /// JPEG or PNG. Any field other than `title` and `lane` requests exactly one rendition. Its fields apply in this order:
    /// orientation, `crop`, `rotate`, `flip` and `flop`, resize, `gamut`, `grayscale`, `blur`, `sharpen`, the box of
    /// `fit=contain` and the `background`, `overlay`, encoding.
    ///
    /// After the status 202 the image is durable: it becomes `ready`, or `failed` with a reason.
    #[oai(path = "/", method = "post", operation_id = "upload_image")]
    async fn upload(&self, Upload(caller): Upload, form: Form) -> Result<UploadResponse, UploadProblems> {
        let owner = caller.owner;
        let upload = upload::receive(form, &caller, &self.app).await?;
        let (image, created_at) = upload::accept(upload, caller, &self.app).await?;
        tracing::info!(%owner, image = %image.id, bytes = image.source.bytes, "accepted");
        let location = wire::location(image.id);
        Ok(UploadResponse::Accepted(Json(Image::accepted(image, created_at)), location))
    }

    /// List images
    ///
    /// Newest first, in pages. Images that are added meanwhile do not shift the following pages. A page may have fewer images than
    /// `limit`, even none, and a next page: where many titles are similar to the text that is searched for, each page looks
    /// through a part of them.
    #[oai(path = "/", method = "get", operation_id = "list_images")]
    async fn list(
        &self,
        Read(caller): Read,
        /// Only images whose title contains this text, ignoring case. `%` and `_` are ordinary characters.
        title: Query<Option<TitlePart>>,
        /// Only images with this status.
        status: Query<Option<Status>>,
        /// The maximum number of images on the page.
        limit: Query<Option<PageSize>>,
        /// The `next_cursor` of the previous page.
        cursor: Query<Option<Cursor>>,
    ) -> Result<ListResponse, ListProblems> {
        let (owner, limit) = (caller.owner, limit.0.unwrap_or(PageSize::DEFAULT));
        let filter = Filter {
            title: title.0.map(|part| part.0).filter(|part| !part.is_empty()),
            status: status.0.map(wire::filter_status).transpose()?,
            before: cursor.0.map(|cursor| ImageId::from_uuid(cursor.0)),
            limit: limit.0.into(),
        };
        let list = async |db: &mut PgConnection| catalog::list(db, owner, &filter).await;
        let db = &self.app.db;
        let listed = if filter.title.is_some() { db.search(list).await } else { db.run(list).await };
        let page = listed.map_err(ApiError::of_search)?;
        let next = page.next.map(|last| Cursor(last.as_uuid()).encode());
        let link = next.as_ref().map(|next| next_link(&filter, limit, next));
        Ok(ListResponse::Page(Json(Page::new(page.images, next)), link))
    }

    /// Get an image
    ///
    /// While it is `queued` or `processing`, `Retry-After` is the time to wait before the next request.
    #[oai(path = "/:id", method = "get", operation_id = "get_image")]
    async fn get(
        &self,
        Read(caller): Read,
        /// The image's id.
        id: Path<Uuid>,
    ) -> Result<ImageResponse, ImageProblems> {
        let (owner, id) = (caller.owner, ImageId::from_uuid(id.0));
        let (image, stored) = self.find(owner, id).await?;
        let mut renditions = Vec::with_capacity(stored.len());
        for rendition in stored {
            let url = self.app.bucket.url(owner, id, &rendition).await?;
            renditions.push(Rendition::new(rendition, url));
        }
        let image = ImageDetail::new(image, renditions);
        let retry_after = image.is_pending().then_some(RETRY_AFTER);
        Ok(ImageResponse::Image(Json(image), retry_after))
    }

    /// Download a rendition
    ///
    /// Redirects to the file in the bucket. This URL works as long as the image exists; the URL in the bucket may expire.
    #[oai(path = "/:id/renditions/:name", method = "get", operation_id = "get_rendition")]
    async fn rendition(
        &self,
        Read(caller): Read,
        /// The image's id.
        id: Path<Uuid>,
        /// The rendition's name, for example `w800.webp`.
        name: Path<String>,
        request: &Request,
    ) -> Result<RenditionResponse, RenditionProblems> {
        let (owner, id) = (caller.owner, ImageId::from_uuid(id.0));
        let (_, renditions) = self.find(owner, id).await?;
        let rendition = renditions.iter().find(|rendition| rendition.name == name.0);
        let rendition = rendition.ok_or(ApiError::NotFound("rendition"))?;
        let bucket = &self.app.bucket;
        let is_head = request.extensions().get::<IsHead>().is_some();
        let url = if is_head {
            bucket.head_url(owner, id, rendition).await?
        } else {
            bucket.url(owner, id, rendition).await?
        };
        // Half the signature's lifetime, so that a cached redirect leads to a URL that still works.
        let cache = format!("private, max-age={}", self.app.presigned.as_secs() / 2);
        Ok(RenditionResponse::Redirect(url.into(), cache))
    }

    /// Delete an image
    ///
    /// The image is immediately gone for clients; a job then deletes its renditions from the bucket. Presigned URLs may work
    /// until that job is done, and copies in caches longer.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_image")]
    async fn delete(
        &self,
        Write(caller): Write,
        /// The image's id.
        id: Path<Uuid>,
    ) -> Result<DeleteResponse, ImageProblems> {
        let (owner, image) = (caller.owner, ImageId::from_uuid(id.0));
        let delete = async |db: &mut PgConnection| -> std::result::Result<_, ApiError> {
            let found = catalog::mark_deleting(db, owner, image).await?;
            if found {
                let deletion = DeleteImage { owner, image, recheck: false };
                darkroom_queue::enqueue(db, &deletion, &delete_image_options(image)).await?;
            }
            Ok(found)
        };
        if !self.app.db.transaction(delete).await? {
            return Err(NO_IMAGE.into());
        }
        self.app.notifier.notify(DeleteImage::QUEUE);
        tracing::info!(%owner, %image, "marked for deletion");
        Ok(DeleteResponse::Accepted)
    }
}

/// The `Link` header of the next page (RFC 8288), with the same filter.
fn next_link(filter: &Filter, limit: PageSize, cursor: &str) -> String {
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
