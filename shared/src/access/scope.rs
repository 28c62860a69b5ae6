//! What a key allows.

use std::fmt;

use darkroom_model::string_enum;

string_enum! {
    /// A right that a key may have. Each operation of the api needs one of them. `admin` includes the other two; `write` does not
    /// include `read`, so that a key which only uploads can see nothing.
    Scope, "scope" {
        /// List images, get them and their renditions.
        Read = "read",
        /// Upload and delete images.
        Write = "write",
        /// Administer the owner's keys and read its audit log.
        Admin = "admin",
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Whether a key with these scopes may use an operation that needs `scope`.
    pub const fn allow(self, scope: Scope) -> bool {
        self.has(scope) || self.has(Scope::Admin)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }

    const fn has(self, scope: Scope) -> bool {
        self.0 & Self::bit(scope) != 0
    }

    const fn bit(scope: Scope) -> u8 {
        1 << scope as u8
    }

    /// The column of a key.
    pub(super) fn to_column(self) -> Vec<String> {
        self.iter().map(|scope| scope.to_string()).collect()
    }

    /// From the column of a key. A scope that only a newer version knows is left out: nothing here needs it.
    pub(super) fn from_column(scopes: &[String]) -> Self {
        scopes.iter().filter_map(|scope| scope.parse::<Scope>().ok()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | Self::bit(scope)))
    }
}

/// For example `read, write`.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Scope::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes<const N: usize>(scopes: [Scope; N]) -> Scopes {
        scopes.into_iter().collect()
    }

    #[test]
    fn admin_includes_the_others_and_write_does_not_include_read() {
        for scope in Scope::ALL {
            assert!(scopes([Scope::Admin]).allow(*scope));
            assert!(!Scopes::default().allow(*scope));
        }
        assert!(!scopes([Scope::Write]).allow(Scope::Read) && !scopes([Scope::Read]).allow(Scope::Write));
    }

    #[test]
    fn scopes_survive_the_column() {
        for set in [scopes([Scope::Read]), scopes([Scope::Write, Scope::Admin]), Scopes::all()] {
            assert_eq!(Scopes::from_column(&set.to_column()), set);
        }
        assert_eq!(Scopes::from_column(&["write".to_owned(), "of_newer".to_owned()]), scopes([Scope::Write]));
        assert_eq!(Scopes::all().to_string(), "read, write, admin");
    }
}
