//! Enums whose variants are strings in JSON, SQL and URLs.

/// A value outside its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} {got:?}")]
pub struct UnknownValue {
    /// The name of the type for people, for example `status`.
    pub what: &'static str,
    /// The refused value.
    pub got: String,
}

/// Defines an enum whose variants have one string each, the same in JSON, SQL, URLs and object keys: `ALL`, `as_str`,
/// `Display`, `FromStr` and serde.
///
/// ```
/// darkroom_model::string_enum! {
///     /// A direction.
///     Direction, "direction" {
///         /// Against gravity.
///         Up = "up",
///         /// With gravity.
///         Down = "down",
///     }
/// }
/// assert_eq!("up".parse(), Ok(Direction::Up));
/// assert_eq!(Direction::Down.to_string(), "down");
/// assert!("left".parse::<Direction>().is_err());
/// ```
#[macro_export]
macro_rules! string_enum {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $string:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $string)] $variant),+ }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The string of this variant in JSON, SQL and URLs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $string),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::UnknownValue;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownValue> {
                match text {
                    $($string => Ok(Self::$variant),)+
                    other => Err($crate::UnknownValue { what: $what, got: other.to_owned() }),
                }
            }
        }
    };
}
