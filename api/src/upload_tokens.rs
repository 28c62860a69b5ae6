//! The resource `/v1/upload-tokens`: short-lived keys for browsers and apps, which only upload.

use chrono::{DateTime, TimeDelta, Utc};
use darkroom_model::recipe::{FIELDS, InvalidField};
use darkroom_shared::access::{NewUploadToken, UploadGrant, create_upload_token};
use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json, types::Example};
use serde::Deserialize;
use sqlx::PgConnection;
use url::Url;
use uuid::{Uuid, uuid};

use crate::{
    App, Tag,
    auth::{Caller, Token, scheme::Write},
    error::ApiError,
    http::{json::JsonBody, problem},
    operation_error::{Documented, DocumentedProblems, INTERNAL, Result, UNAVAILABLE},
};

/// The form fields that a token may allow besides those of recipes and the file, which it always allows.
const OTHER_FIELDS: [&str; 2] = ["title", "lane"];

/// Maximum number of uploads of a token.
const MAX_USES: u32 = 1000;
/// Maximum lifetime of a token in seconds: a day.
const MAX_SECONDS: u32 = 86_400;

/// An upload token to be made.
#[derive(Clone, Debug, Object, Deserialize)]
#[oai(skip_serializing_if_is_none, deny_unknown_fields, example)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewToken {
    /// How many uploads it allows. Default: 1.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    uses: Option<u32>,
    /// How long it can be used, in seconds: at most a day. Default: 900. An upload that has begun in this time is finished.
    #[oai(validator(minimum(value = "1"), maximum(value = "86400")))]
    expires_in: Option<u32>,
    /// The maximum size of a file in bytes. Default: that of the service.
    #[oai(validator(minimum(value = "1")))]
    max_bytes: Option<u64>,
    /// The form fields that an upload may have besides `file`, for example `title`. Default: all.
    fields: Option<Vec<String>>,
    /// The origin of the page that may use it, for example `https://app.example`. The browser also wants it in `ALLOWED_ORIGINS`.
    /// Default: any client.
    origin: Option<String>,
}

/// An upload token: it is shown only in this response.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub(crate) struct UploadToken {
    /// The token, for the header `Authorization: Bearer …` of `POST /v1/images`.
    token: String,
    /// Its id, with which a key with the scope `admin` can revoke it: `DELETE /v1/keys/{id}`.
    id: Uuid,
    /// From when it is refused.
    expires_at: DateTime<Utc>,
    /// How many uploads it allows.
    uses: u32,
}

#[derive(ApiResponse)]
enum CreateTokenResponse {
    /// The token was made. This is the only response that has it.
    #[oai(status = 201, content_type = "application/json")]
    Created(Json<UploadToken>),
}

struct CreateTokenProblems;

impl DocumentedProblems for CreateTokenProblems {
    const LIST: &'static [Documented] = &[
        (&problem::INVALID_JSON, "The body is not the JSON that is expected."),
        (&problem::REQUEST_TIMEOUT, "The rest of the request was not received in time."),
        (&problem::UNSUPPORTED_MEDIA_TYPE, "The body is not `application/json`."),
        (&problem::INVALID_FIELD, "A field is invalid; `field` has its name."),
        UNAVAILABLE,
        INTERNAL,
    ];
}

/// The resource `/v1/upload-tokens`.
pub(crate) struct UploadTokens {
    app: App,
}

impl UploadTokens {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

#[OpenApi(prefix_path = "/v1/upload-tokens", tag = "Tag::Access")]
impl UploadTokens {
    /// Make an upload token
    ///
    /// For a browser or an app that must not have a key: it can only upload, a few times and for a short time, and see nothing. It
    /// does not outlive the key that makes it, and ends when that is revoked.
    #[oai(path = "/", method = "post", operation_id = "create_upload_token")]
    async fn create(
        &self,
        Write(caller): Write,
        new: JsonBody<NewToken>,
    ) -> Result<CreateTokenResponse, CreateTokenProblems> {
        let (token, new) = (Token::generate_for_uploads(), new_token(new.0, &caller)?);
        let create = async |db: &mut PgConnection| create_upload_token(db, caller.owner, &new, &token.hash()).await;
        let id = self.app.db.run(create).await?;
        Ok(CreateTokenResponse::Created(Json(UploadToken {
            token: token.expose().to_owned(),
            id: id.as_uuid(),
            expires_at: new.expires_at,
            uses: new.uses,
        })))
    }
}

fn new_token(new: NewToken, caller: &Caller) -> std::result::Result<NewUploadToken, ApiError> {
    let is_field = |name: &str| OTHER_FIELDS.contains(&name) || FIELDS.iter().any(|field| field.name == name);
    if let Some(unknown) = new.fields.iter().flatten().find(|name| !is_field(name)) {
        let reason = format!("{:?} is not a field of an upload.", crate::error::excerpt(unknown, 40));
        return Err(InvalidField { field: "fields", reason }.into());
    }
    if new.origin.as_deref().is_some_and(|origin| !is_origin(origin)) {
        let reason = "must be an origin such as https://app.example.".to_owned();
        return Err(InvalidField { field: "origin", reason }.into());
    }
    let uses = in_range("uses", new.uses.unwrap_or(1), MAX_USES)?;
    let seconds = in_range("expires_in", new.expires_in.unwrap_or(900), MAX_SECONDS)?;
    if new.max_bytes == Some(0) {
        return Err(InvalidField { field: "max_bytes", reason: "must be at least 1.".to_owned() }.into());
    }
    let end = Utc::now() + TimeDelta::seconds(seconds.into());
    Ok(NewUploadToken {
        uses,
        expires_at: caller.expires_at.map_or(end, |latest| end.min(latest)),
        grant: UploadGrant { max_bytes: new.max_bytes, fields: new.fields, origin: new.origin },
        made_by: caller.key,
    })
}

fn in_range(field: &'static str, value: u32, max: u32) -> std::result::Result<u32, ApiError> {
    if (1..=max).contains(&value) {
        return Ok(value);
    }
    Err(InvalidField { field, reason: format!("must be a whole number from 1 to {max}.") }.into())
}

/// Whether a text is an origin as browsers send it.
fn is_origin(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text)
}

impl Example for NewToken {
    fn example() -> Self {
        let fields = vec!["title".to_owned()];
        Self { uses: Some(1), expires_in: Some(900), max_bytes: Some(10_000_000), fields: Some(fields), origin: None }
    }
}

impl Example for UploadToken {
    fn example() -> Self {
        Self {
            // No token: secret scanners would find it.
            token: "du_4CwfMT…".to_owned(),
            id: uuid!("01890a5d-ac96-774b-bcce-b302099a8057"),
            expires_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(1_700_000_900),
            uses: 1,
        }
    }
}
