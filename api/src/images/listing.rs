//! From the parameters of a list to its filter, and to the URL of its next page.

use chrono::{DateTime, SecondsFormat, Utc};
use darkroom_model::{SourceFormat, Status};
use darkroom_shared::catalog::{Filter, MemberFilter};
use url::form_urlencoded;

use super::{cursor::ListCursor, projection::Fields, wire::Sort};
use crate::{error::ApiError, paging::PageSize};

/// The parameters of a list without the position of its page.
pub(super) struct Listing {
    pub(super) title: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) format: Option<SourceFormat>,
    pub(super) tag: Option<String>,
    pub(super) metadata_key: Option<String>,
    pub(super) metadata_value: Option<String>,
    pub(super) created_after: Option<DateTime<Utc>>,
    pub(super) created_before: Option<DateTime<Utc>>,
    pub(super) sort: Option<Sort>,
    pub(super) fields: Option<Fields>,
    pub(super) limit: PageSize,
}

impl Listing {
    /// The filter of the page at this position. Fails if the parameters contradict each other.
    pub(super) fn filter(&self, cursor: Option<ListCursor>) -> Result<Filter, ApiError> {
        let invalid = |name, reason: &str| ApiError::Parameter { name, reason: reason.to_owned() };
        let member = match (&self.metadata_key, &self.metadata_value) {
            (Some(name), value) => Some(MemberFilter { name: name.clone(), value: value.clone() }),
            (None, None) => None,
            (None, Some(_)) => return Err(invalid("metadata_value", "needs metadata_key")),
        };
        let sort = self.sort.unwrap_or_default().into();
        if cursor.as_ref().is_some_and(|cursor| cursor.sort != sort) {
            return Err(invalid("cursor", "must be of a page with the same sort"));
        }
        Ok(Filter {
            title: self.title.clone(),
            status: self.status,
            format: self.format,
            tag: self.tag.clone(),
            member,
            created_after: self.created_after,
            created_before: self.created_before,
            sort,
            after: cursor.map(|cursor| cursor.position),
            limit: self.limit.0.into(),
        })
    }

    /// The `Link` header of the next page (RFC 8288), with the same parameters.
    pub(super) fn next_link(&self, cursor: &str) -> String {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("title", self.title.clone()),
            ("status", self.status.map(|status| status.as_str().to_owned())),
            ("format", self.format.map(|format| format.as_str().to_owned())),
            ("tag", self.tag.clone()),
            ("metadata_key", self.metadata_key.clone()),
            ("metadata_value", self.metadata_value.clone()),
            ("created_after", self.created_after.map(time)),
            ("created_before", self.created_before.map(time)),
            ("sort", self.sort.map(|sort| sort.as_str().to_owned())),
            ("fields", self.fields.as_ref().map(Fields::encode)),
            ("limit", Some(self.limit.0.to_string())),
            ("cursor", Some(cursor.to_owned())),
        ] {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        }
        format!("</v1/images?{}>; rel=\"next\"", query.finish())
    }
}
