//! How one setting is declared: its variable, default and description.

/// One environment variable.
#[derive(Debug)]
pub struct Setting {
    /// The variable.
    pub name: &'static str,
    /// Other names of the same setting, for deployments that have them already. The first that is set counts.
    pub aliases: &'static [&'static str],
    /// The value if the variable is not set or empty; `None`: the setting is required or may be absent.
    pub default: Option<&'static str>,
    /// One line for `--help` and the docs.
    pub help: &'static str,
    /// The value is never printed.
    pub is_secret: bool,
}

impl Setting {
    /// A setting without a default.
    pub(super) const fn new(help: &'static str) -> Self {
        Self { name: "", aliases: &[], default: None, help, is_secret: false }
    }

    /// A setting with a default.
    pub(super) const fn with_default(default: &'static str, help: &'static str) -> Self {
        Self { default: Some(default), ..Self::new(help) }
    }

    /// The same setting, also read from these variables.
    pub(super) const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// The same setting, never printed.
    pub(super) const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// The same setting under this variable.
    pub(super) const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }
}

/// Declares the settings of a group: a constant for each, and `SETTINGS` with all of them in this order.
macro_rules! declare_settings {
    ($($name:ident = $setting:expr;)+) => {
        $(const $name: $crate::settings::Setting = $setting.named(stringify!($name));)+
        /// The settings of this group, in the order of the docs.
        pub(super) const SETTINGS: &[$crate::settings::Setting] = &[$($name),+];
    };
}

pub(super) use declare_settings;
