//! Who an image belongs to. A child never renders for two owners, so that one that an attacker has taken over can only reach
//! the pictures of that attacker.

/// The owner of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u128);

impl Owner {
    /// The owner of every image of an installation without owners.
    pub const DEFAULT: Self = Self(0);

    /// The owner with this id.
    #[must_use]
    pub const fn new(id: u128) -> Self {
        Self(id)
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::DEFAULT
    }
}
