//! Parsers of values that several groups have. Their errors say what was expected.

use std::str::FromStr;

use url::Url;

/// An `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Url {
    /// The bucket's name.
    pub bucket: String,
    /// Without slashes at its ends; may be empty.
    pub prefix: String,
}

/// Parses a type that has `FromStr`.
pub(super) fn parse<T: FromStr>(expected: &'static str) -> impl Fn(&str) -> Result<T, String> {
    move |text| text.parse().map_err(|_| expected.to_owned())
}

/// 0 as "none".
pub(super) fn non_zero<T: PartialEq + Default>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// Parses a base URL: `http` or `https`, without a query.
pub(super) fn http_url(text: &str) -> Result<Url, String> {
    match Url::parse(text.trim_end_matches('/')) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.query().is_none() => Ok(url),
        _ => Err("a URL that begins with http:// or https://".to_owned()),
    }
}

/// Parses `s3://bucket` or `s3://bucket/prefix`.
pub(super) fn s3_url(text: &str) -> Result<S3Url, String> {
    let expected = || "a URL such as s3://bucket/prefix".to_owned();
    let (bucket, prefix) =
        text.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or_else(expected)?;
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    let is_bucket_name = (3..=63).contains(&bucket.len())
        && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    // Keys stay under 162 bytes with the prefix: some S3 servers that store objects as files refuse longer ones.
    let prefix = prefix.trim_matches('/');
    let is_prefix = prefix.len() <= 60 && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    if is_bucket_name && is_prefix {
        Ok(S3Url { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    } else {
        Err(expected())
    }
}
