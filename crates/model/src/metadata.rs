//! The metadata of an image: JSON that a client keeps with it.

use serde_json::{Map, Value};

/// A JSON object that a client keeps with an image. It has at most 4096 bytes as compact JSON, and at most 64 members with names of 1 to
/// 64 characters; objects and arrays are nested at most 4 deep, itself included. No member of an object is null, and no text
/// has NUL, which Postgres cannot store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(Map<String, Value>);

/// Why a JSON object is not [`Metadata`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The text is not a JSON object.
    #[error("it is not a JSON object")]
    NotAnObject,
    /// It has more than [`Metadata::MAX_BYTES`] as compact JSON.
    #[error("it has more than {} bytes", Metadata::MAX_BYTES)]
    TooLarge,
    /// It is nested deeper than [`Metadata::MAX_DEPTH`].
    #[error("it is nested more than {} deep", Metadata::MAX_DEPTH)]
    TooDeep,
    /// It has more than [`Metadata::MAX_MEMBERS`].
    #[error("it has more than {} members", Metadata::MAX_MEMBERS)]
    TooManyMembers,
    /// The name of a member is empty or longer than [`Metadata::MAX_NAME_CHARS`].
    #[error("the name of a member has no or more than {} characters", Metadata::MAX_NAME_CHARS)]
    Name,
    /// A text or a name has the character NUL.
    #[error("a text has the character NUL")]
    Nul,
}

impl Metadata {
    /// Maximum size as compact JSON, in bytes.
    pub const MAX_BYTES: usize = 4096;
    /// Maximum depth of objects and arrays; the object itself has depth 1.
    pub const MAX_DEPTH: usize = 4;
    /// Maximum number of members of the object itself.
    pub const MAX_MEMBERS: usize = 64;
    /// Maximum length of the name of a member of the object itself, in Unicode scalar values.
    pub const MAX_NAME_CHARS: usize = 64;

    /// Parses a JSON object. Members that are null are left out.
    ///
    /// # Errors
    /// The first rule that is violated.
    pub fn parse(text: &str) -> Result<Self, MetadataError> {
        let object = serde_json::from_str(text).map_err(|_| MetadataError::NotAnObject)?;
        Self::default().merge(object)
    }

    /// What was stored, without a check.
    #[must_use]
    pub fn from_stored(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// Applies a JSON Merge Patch (RFC 7396, section 2): null removes a member.
    ///
    /// # Errors
    /// The first rule that the result violates.
    pub fn merge(&self, patch: Map<String, Value>) -> Result<Self, MetadataError> {
        let mut object = self.0.clone();
        merge(&mut object, patch);
        check(&object)?;
        Ok(Self(object))
    }

    /// The compact JSON of the object.
    #[must_use]
    pub fn to_json(&self) -> String {
        Value::from(self.0.clone()).to_string()
    }

    /// The JSON object.
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }
}

fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.remove(&name);
            }
            Value::Object(patch) => {
                let member = target.entry(name).or_insert_with(|| Map::new().into());
                if !member.is_object() {
                    *member = Map::new().into();
                }
                if let Value::Object(member) = member {
                    merge(member, patch);
                }
            }
            value => {
                target.insert(name, value);
            }
        }
    }
}

fn check(object: &Map<String, Value>) -> Result<(), MetadataError> {
    if object.len() > Metadata::MAX_MEMBERS {
        return Err(MetadataError::TooManyMembers);
    }
    if object.keys().any(|name| !(1..=Metadata::MAX_NAME_CHARS).contains(&name.chars().count())) {
        return Err(MetadataError::Name);
    }
    check_object(object, 1)?;
    let bytes = serde_json::to_vec(object).map_or(usize::MAX, |json| json.len());
    if bytes > Metadata::MAX_BYTES { Err(MetadataError::TooLarge) } else { Ok(()) }
}

fn check_object(object: &Map<String, Value>, depth: usize) -> Result<(), MetadataError> {
    object.iter().try_for_each(|(name, value)| {
        check_text(name)?;
        check_value(value, depth)
    })
}

/// `depth`: of the object or array that has the value.
fn check_value(value: &Value, depth: usize) -> Result<(), MetadataError> {
    match value {
        Value::Object(_) | Value::Array(_) if depth == Metadata::MAX_DEPTH => Err(MetadataError::TooDeep),
        Value::Object(object) => check_object(object, depth + 1),
        Value::Array(values) => values.iter().try_for_each(|value| check_value(value, depth + 1)),
        Value::String(text) => check_text(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn check_text(text: &str) -> Result<(), MetadataError> {
    if text.contains('\0') { Err(MetadataError::Nul) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("{value} is not an object") };
        object
    }

    /// The examples of RFC 7396, appendix A, whose original and patch are objects.
    #[test]
    fn patches_are_merged_as_the_standard_says() {
        for (original, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": 1}), json!({"a": 1}), json!({"e": 1, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let merged = Metadata::from_stored(object(original)).merge(object(patch)).unwrap();
            assert_eq!(Value::from(merged.0), result);
        }
    }

    #[test]
    fn metadata_has_bounds() {
        let parse = |value: &Value| Metadata::parse(&value.to_string()).map(|_| ());
        assert_eq!(Metadata::parse("[1]"), Err(MetadataError::NotAnObject));
        assert_eq!(Metadata::parse("{"), Err(MetadataError::NotAnObject));
        assert_eq!(parse(&json!({"a": {"b": {"c": {}}}})), Ok(()));
        assert_eq!(parse(&json!({"a": {"b": {"c": []}}})), Ok(()));
        assert_eq!(parse(&json!({"a": {"b": {"c": {"d": {}}}}})), Err(MetadataError::TooDeep));
        assert_eq!(parse(&json!({"a": "x".repeat(4088)})), Ok(()));
        assert_eq!(parse(&json!({"a": "x".repeat(4089)})), Err(MetadataError::TooLarge));
        assert_eq!(parse(&json!({"": 1})), Err(MetadataError::Name));
        assert_eq!(parse(&json!({"a": ["\0"]})), Err(MetadataError::Nul));
        let many: Map<String, Value> = (0..65).map(|n| (n.to_string(), n.into())).collect();
        assert_eq!(parse(&many.into()), Err(MetadataError::TooManyMembers));
    }
}
