//! Conversions between Rust and Postgres types. Postgres has no unsigned integers.

use std::{fmt::Display, num::TryFromIntError, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use darkroom_model::{ImageId, OwnedImage, Owner};
use tracing::warn;
use uuid::Uuid;

use super::CatalogError;

/// How far the clock of an api, which makes the ids, may be from the database's.
pub(super) const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// The smallest id that an image of this time may have: `UUIDv7` begins with the time in milliseconds (RFC 9562,
/// section 5.7).
pub(super) fn first_id(time: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

/// A string enum from its text.
pub(super) fn string_enum<T: FromStr<Err: Display>>(text: &str) -> Result<T, CatalogError> {
    text.parse().map_err(|error: T::Err| CatalogError::Row(error.to_string()))
}

/// A string enum from its text; `None` if only a newer version knows the value, which is logged.
pub(super) fn known<T: FromStr<Err: Display>>(text: &str) -> Option<T> {
    string_enum(text).inspect_err(|error| warn!("{error}: a newer version wrote it")).ok()
}

/// A SHA-256 from a `bytea`.
pub(super) fn sha256(bytes: Vec<u8>) -> Result<[u8; 32], CatalogError> {
    bytes.try_into().map_err(|_| CatalogError::Row("a hash has the wrong length".to_owned()))
}

/// An sRGB colour from a `bytea`.
pub(super) fn colour(bytes: Vec<u8>) -> Result<[u8; 3], CatalogError> {
    bytes.try_into().map_err(|_| CatalogError::Row("a colour has the wrong length".to_owned()))
}

/// An `integer` for a `u32`.
pub(super) fn to_integer(value: u32) -> Result<i32, CatalogError> {
    value.try_into().map_err(out_of_range)
}

/// A `bigint` for a `u64`.
pub(super) fn to_bigint(value: u64) -> Result<i64, CatalogError> {
    value.try_into().map_err(out_of_range)
}

/// A `u32` from an `integer`.
pub(super) fn from_integer(value: i32) -> Result<u32, CatalogError> {
    value.try_into().map_err(out_of_range)
}

/// A `u64` from a `bigint`.
pub(super) fn from_bigint(value: i64) -> Result<u64, CatalogError> {
    value.try_into().map_err(out_of_range)
}

/// An image from its `owner` and `id`.
pub(super) fn owned(owner: i32, id: Uuid) -> OwnedImage {
    OwnedImage { owner: Owner::from_id(owner), id: ImageId::from_uuid(id) }
}

/// The owners and the ids of these images, for two arrays.
pub(super) fn columns_of(images: &[OwnedImage]) -> (Vec<i32>, Vec<Uuid>) {
    images.iter().map(|image| (image.owner.id(), image.id.as_uuid())).unzip()
}

fn out_of_range(_: TryFromIntError) -> CatalogError {
    CatalogError::Row("a number is out of range".to_owned())
}
