//! Settings as text: for `--help`, for `darkroom-api config`, and for docs/settings.md.

use url::Url;

use super::{GROUPS, reader::Reader, setting::Setting};

/// Every setting with its description and default, for `--help`.
pub fn help() -> String {
    let line = |setting: &Setting| {
        let default = setting.default.map_or_else(String::new, |value| format!(" [default: {value}]"));
        format!("  {:<22} {}{default}\n", setting.name, setting.help)
    };
    let settings = GROUPS.iter().flat_map(|group| group.settings);
    settings.fold(String::from("Settings, from the environment:\n"), |text, setting| text + &line(setting))
}

/// Every setting's name and the value in force, with `***` in place of secrets.
pub fn in_force(lookup: &dyn Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let reader = Reader::new(lookup);
    let value = |setting: &Setting| match reader.text(setting) {
        None => "(not set)".to_owned(),
        Some(_) if setting.is_secret => "***".to_owned(),
        Some(value) => without_password(&value),
    };
    GROUPS.iter().flat_map(|group| group.settings).map(|setting| (setting.name, value(setting))).collect()
}

/// The text of a URL with `***` in place of its password; other text unchanged.
fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            if url.set_password(Some("***")).is_err() {
                return "***".to_owned();
            }
            url.to_string()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_setting() {
        let help = help();
        assert!(GROUPS.iter().flat_map(|group| group.settings).all(|setting| help.contains(setting.name)));
    }

    /// `UPDATE_DOCS=1 cargo test -p darkroom-shared docs` rewrites the page.
    #[test]
    fn the_docs_list_every_setting() {
        let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let row = |setting: &Setting| {
            let default = setting.default.map_or_else(String::new, |value| format!("`{value}`"));
            let aliases = code(setting.aliases);
            format!("| `{}` | {default} | {} | {aliases} |\n", setting.name, setting.help)
        };
        let mut page = "# Settings\n\nThe api and the worker read the same environment variables. They check them at \
                        start and report all errors at\nonce. `darkroom-api config` prints the values in force, \
                        without secrets.\n"
            .to_owned();
        for group in GROUPS {
            page.extend([
                "\n## ",
                group.title,
                "\n\n| setting | default | meaning | other names |\n|---|---|---|---|\n",
            ]);
            page.extend(group.settings.iter().map(row));
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            page,
            "run UPDATE_DOCS=1 cargo test -p darkroom-shared docs"
        );
    }
}
