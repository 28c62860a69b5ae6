//! The resource `/v1/images`: upload, list, get, change, delete; the renditions of an image.
//!
//! | module | contents |
//! |---|---|
//! | `backlog` | the bound of images that wait to be rendered |
//! | `form` | the multipart form as a stream |
//! | `fields` | the fields of the form: names and parsing |
//! | `schema` | the form in the `OpenAPI` document |
//! | `dry_run` | what an upload would become |
//! | `upload` | receiving an upload |
//! | `accept` | accepting it, in one transaction |
//! | `params` | the parameters of URLs |
//! | `listing` | from the parameters of a list to its filter, and to the URL of its next page |
//! | `cursor` | the position of a page |
//! | `projection` | lists with only some fields |
//! | `patch` | what clients may change of an image |
//! | `wire` | images in JSON |
//! | `responses` | the responses and problems of each operation |

mod accept;
pub(crate) mod backlog;
mod cursor;
mod dry_run;
mod fields;
mod form;
mod listing;
mod params;
mod patch;
mod projection;
mod responses;
mod schema;
mod upload;
mod wire;

use chrono::Utc;
use darkroom_model::{ImageId, Owner};
use darkroom_queue::Job as _;
use darkroom_shared::{
    catalog::{self, CatalogError},
    jobs::{DeleteImage, delete_image_options},
};
use poem::{Request, http::StatusCode};
use poem_openapi::{
    OpenApi,
    param::{Header, Path, Query},
    payload::Json,
};
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) use self::dry_run::DRY_RUNS;
use self::{
    accept::Accepted,
    cursor::ListCursor,
    form::Form,
    listing::Listing,
    params::{Format, MemberName, MemberValue, Tag as ImageTag, Time, TitlePart},
    patch::ImagePatch,
    projection::Fields,
    responses::{
        DeleteProblems, DeleteResponse, ImageProblems, ImageResponse, ListProblems, ListResponse, PatchProblems,
        PatchResponse, RenditionProblems, RenditionResponse, UploadProblems, UploadResponse,
    },
    wire::{ImageDetail, Page, Rendition, Sort, Status},
};
use crate::{
    App, Tag,
    auth::scheme::{Read, Upload, Write},
    error::ApiError,
    http::{
        conditional::{self, EntityTag},
        json::MergePatch,
        middleware::IsHead,
    },
    idempotency::RequestKey,
    limits::Purpose,
    operation_error::Result,
    paging::PageSize,
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

    /// The entity tag of an image. It changes with every half of the lifetime of presigned URLs, so that a response that is
    /// confirmed with 304 has URLs that work for at least another half.
    fn entity_tag(&self, image: &catalog::Image) -> EntityTag {
        let expires = !self.app.bucket.is_public() && image.status == Some(darkroom_model::Status::Ready);
        let period = || Utc::now().timestamp().unsigned_abs() / (self.app.presigned.as_secs() / 2).max(1);
        EntityTag { version: image.version, period: expires.then(period) }
    }
}

#[OpenApi(prefix_path = "/v1/images", tag = "Tag::Images")]
impl Images {
    /// Upload an image
    ///
    /// Stores the file and responds at once; a worker renders it. By default the standard set is rendered: the
    /// optimised image, at most 2560 pixels wide, and widths of 320, 800 and 1600, never enlarged, each in WebP and in
    /// JPEG or PNG. Any field other than `title`, `tags`, `metadata` and `lane` requests exactly one rendition. Its fields apply in this order:
    /// orientation, `crop`, `rotate`, `flip` and `flop`, resize, `gamut`, `grayscale`, `blur`, `sharpen`, the box of
    /// `fit=contain` and the `background`, `overlay`, encoding.
    ///
    /// After the status 202 the image is durable: it becomes `ready`, or `failed` with a reason.
    ///
    /// A request with an `Idempotency-Key` may be sent again, also while the first one is being handled: it creates no second image.
    #[oai(path = "/", method = "post", operation_id = "upload_image")]
    async fn upload(
        &self,
        Upload(caller): Upload,
        /// A unique key of this upload, such as a random UUID, at most 255 characters. The same upload with the same key is
        /// answered as before, with `Idempotent-Replayed: true`, for the time that `GET /v1/limits` says; another upload with the
        /// same key is refused with 422.
        #[oai(name = "Idempotency-Key")]
        key: Header<Option<String>>,
        form: Form,
    ) -> Result<UploadResponse, UploadProblems> {
        let (app, owner) = (&self.app, caller.owner);
        let key = RequestKey::parse(key.0.as_deref(), owner, app.idempotency)?;
        let answered = match &key {
            Some(key) => key.find(&app.db).await?,
            None => None,
        };
        let purpose = if answered.is_some() { Purpose::Nothing } else { Purpose::Image };
        let upload = upload::receive(form, &caller, purpose, app).await?;
        if let Some(answered) = answered.filter(|_| !upload.is_dry_run()) {
            return Ok(UploadResponse::again(upload.fingerprint()?.answer(answered)?));
        }
        upload::check_recipe(&upload, owner, app).await?;
        if upload.is_dry_run() {
            return Ok(UploadResponse::DryRun(StatusCode::OK, Json(dry_run::describe(upload, app).await?)));
        }
        let key = key.map(|key| Ok::<_, ApiError>((key, upload.fingerprint()?))).transpose()?;
        match accept::accept(upload, key, caller, app).await? {
            Accepted::New(image) => {
                tracing::info!(%owner, image = %image.id(), "accepted");
                let location = wire::location(image.id());
                Ok(UploadResponse::Accepted((&image).into(), location, None))
            }
            Accepted::Duplicate(answer) => Ok(UploadResponse::again(answer)),
        }
    }

    /// List images
    ///
    /// In pages; an image is listed if it meets all conditions. Images that are added meanwhile do not shift the following pages. A
    /// page may have fewer images than `limit`, even none, and a next page: where many images nearly meet the conditions, each page
    /// looks through a part of them.
    #[oai(path = "/", method = "get", operation_id = "list_images")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the URL")]
    async fn list(
        &self,
        Read(caller): Read,
        /// Only images whose title contains this text, ignoring case. `%` and `_` are ordinary characters.
        title: Query<Option<TitlePart>>,
        /// Only images with this status.
        status: Query<Option<Status>>,
        /// Only images whose file has this format.
        format: Query<Option<Format>>,
        /// Only images with this tag.
        tag: Query<Option<ImageTag>>,
        /// Only images with a member of this name in their metadata.
        metadata_key: Query<Option<MemberName>>,
        /// With `metadata_key`: only images whose member has this value; texts without quotes, all else as JSON without white space.
        metadata_value: Query<Option<MemberValue>>,
        /// Only images that were accepted at this time or later.
        created_after: Query<Option<Time>>,
        /// Only images that were accepted before this time.
        created_before: Query<Option<Time>>,
        /// The order. Default: `newest`.
        sort: Query<Option<Sort>>,
        /// Only these fields of each image, separated by commas. Default: all. The response lacks the others, also those that its
        /// schema requires.
        fields: Query<Option<Fields>>,
        /// The maximum number of images on the page.
        limit: Query<Option<PageSize>>,
        /// The `next_cursor` of the previous page, with the same `sort` and conditions.
        cursor: Query<Option<ListCursor>>,
    ) -> Result<ListResponse, ListProblems> {
        let listing = Listing {
            title: title.0.map(|part| part.0).filter(|part| !part.is_empty()),
            status: status.0.map(wire::filter_status).transpose()?,
            format: format.0.map(|format| format.0),
            tag: tag.0.map(|tag| tag.0),
            metadata_key: metadata_key.0.map(|name| name.0),
            metadata_value: metadata_value.0.map(|value| value.0),
            created_after: created_after.0.map(|time| time.0),
            created_before: created_before.0.map(|time| time.0),
            sort: sort.0,
            fields: fields.0,
            limit: limit.0.unwrap_or(PageSize::DEFAULT),
        };
        let (owner, filter) = (caller.owner, listing.filter(cursor.0)?);
        let list = async |db: &mut PgConnection| catalog::list(db, owner, &filter).await;
        let db = &self.app.db;
        let listed = if filter.is_search() { db.search(list).await } else { db.run(list).await };
        let page = listed.map_err(ApiError::of_search)?;
        let next = page.next.map(|position| ListCursor { sort: filter.sort, position }.encode());
        let link = next.as_ref().map(|next| listing.next_link(next));
        Ok(ListResponse::Page(Json(Page::new(page.images, listing.fields.as_ref(), next)), link))
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
        /// The `ETag` of a response that the client has: it is sent again only if it has changed, or if its URLs are about to expire.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<ImageResponse, ImageProblems> {
        let (owner, id) = (caller.owner, ImageId::from_uuid(id.0));
        let (image, stored) = self.find(owner, id).await?;
        let tag = self.entity_tag(&image);
        if tag.is_known(if_none_match.0.as_deref()) {
            let retry_after = wire::is_pending(image.status.into()).then_some(RETRY_AFTER);
            return Ok(ImageResponse::NotModified(retry_after, tag.header()));
        }
        let mut renditions = Vec::with_capacity(stored.len());
        for rendition in stored {
            let url = self.app.bucket.url(owner, id, &rendition).await?;
            renditions.push(Rendition::new(rendition, url));
        }
        let image = ImageDetail::new(image, renditions);
        let retry_after = image.is_pending().then_some(RETRY_AFTER);
        Ok(ImageResponse::Image(Json(image), retry_after, tag.header()))
    }

    /// Change an image
    ///
    /// Its title, tags and metadata, by a JSON Merge Patch (RFC 7396). With `If-Match` only if nobody has changed it meanwhile.
    #[oai(path = "/:id", method = "patch", operation_id = "patch_image")]
    async fn patch(
        &self,
        Write(caller): Write,
        /// The image's id.
        id: Path<Uuid>,
        /// The `ETag` of the version that may be changed, or `*`.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        patch: MergePatch<ImagePatch>,
    ) -> Result<PatchResponse, PatchProblems> {
        let (owner, id) = (caller.owner, ImageId::from_uuid(id.0));
        // What is no fault of the database is a value, so that its connection is kept.
        let change = async |db: &mut PgConnection| -> std::result::Result<_, CatalogError> {
            let Some((old, version)) = catalog::lock(db, owner, id).await? else { return Ok(Err(NO_IMAGE)) };
            if !conditional::allows(if_match.0.as_deref(), version) {
                return Ok(Err(ApiError::PreconditionFailed));
            }
            let new = match patch.0.apply(&old) {
                Ok(new) => new,
                Err(error) => return Ok(Err(error)),
            };
            if new != old {
                catalog::save_details(db, owner, id, &new).await?;
            }
            Ok(catalog::get(db, owner, id).await?.ok_or(NO_IMAGE))
        };
        let image = self.app.db.transaction(change).await??;
        let tag = self.entity_tag(&image);
        Ok(PatchResponse::Image(Json(image.into()), tag.header()))
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
        /// The `ETag` of the version that may be deleted, or `*`.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<DeleteResponse, DeleteProblems> {
        let (owner, image) = (caller.owner, ImageId::from_uuid(id.0));
        let delete = async |db: &mut PgConnection| -> std::result::Result<_, ApiError> {
            if let Some(if_match) = if_match.0.as_deref() {
                let Some(version) = catalog::lock_version(db, owner, image).await? else { return Ok(Err(NO_IMAGE)) };
                if !conditional::allows(Some(if_match), version) {
                    return Ok(Err(ApiError::PreconditionFailed));
                }
            }
            if !catalog::mark_deleting(db, owner, image).await? {
                return Ok(Err(NO_IMAGE));
            }
            let deletion = DeleteImage { owner, image, recheck: false };
            darkroom_queue::enqueue(db, &deletion, &delete_image_options(image)).await?;
            Ok(Ok(()))
        };
        self.app.db.transaction(delete).await??;
        self.app.notifier.notify(DeleteImage::QUEUE);
        tracing::info!(%owner, %image, "marked for deletion");
        Ok(DeleteResponse::Accepted)
    }
}
