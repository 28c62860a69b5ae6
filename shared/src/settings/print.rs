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
        Some(_) if setting.is_secret => HIDDEN.to_owned(),
        Some(value) => without_password(&value),
    };
    GROUPS.iter().flat_map(|group| group.settings).map(|setting| (setting.name, value(setting))).collect()
}

/// The text of a setting with `***` in place of every password: in the user part of a URL, in the parameters of a URL,
/// and in a connection string of keywords (`host=… password=…`, libpq). Other text is unchanged. Text that names a
/// password in any other form is not printed at all.
fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return if names_secret(text) || text.contains('@') { HIDDEN.to_owned() } else { text.to_owned() };
    };
    // `user:password@host` without a scheme parses as a URL of the scheme `user`.
    let has_hidden_user = url.cannot_be_a_base() && text.contains('@');
    if has_hidden_user || url.fragment().is_some_and(names_secret) || names_secret(url.path()) {
        return HIDDEN.to_owned();
    }
    let mut is_changed = false;
    if url.password().is_some() {
        if url.set_password(Some(HIDDEN)).is_err() {
            return HIDDEN.to_owned();
        }
        is_changed = true;
    }
    if url.query_pairs().any(|(name, _)| names_secret(&name)) {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut query = url.query_pairs_mut();
        query.clear();
        for (name, value) in &pairs {
            query.append_pair(name, if names_secret(name) { HIDDEN } else { value });
        }
        drop(query);
        is_changed = true;
    }
    if is_changed { url.into() } else { text.to_owned() }
}

const HIDDEN: &str = "***";

/// Whether a name or a text contains the name of a secret: `password`, `sslpassword`, `passwd`, `pwd`, `secret`, `token`.
fn names_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["passw", "pwd", "secret", "token"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_connection_string_shows_its_password() {
        for text in [
            "postgres://me:hunter2@localhost/db",
            "postgres://me:hunter2@localhost/db?sslmode=require",
            "postgres://localhost/db?user=me&password=hunter2",
            "postgres://localhost/db?user=me&PASSWORD=hunter2&sslmode=require",
            "postgres://localhost/db?user=me&pass%77ord=hunter2",
            "postgres://localhost/db?sslpassword=hunter2",
            "postgres://localhost/db#password=hunter2",
            "postgres://localhost/db&password=hunter2",
            "host=localhost user=me password=hunter2",
            "host=localhost user=me password = 'hunter2'",
            "me:hunter2@localhost/db",
            "postgres://me:hunter2@host one:port/db",
        ] {
            let printed = without_password(text);
            assert!(!printed.contains("hunter2"), "{text} is printed as {printed}");
        }
        let printed = without_password("postgres://db.example/db?user=me&password=hunter2&sslmode=require");
        assert_eq!(printed, "postgres://db.example/db?user=me&password=***&sslmode=require");
        for text in ["postgres://me@localhost/db?sslmode=require", "127.0.0.1:8000", "info,sqlx=warn", "data/staging"] {
            assert_eq!(without_password(text), text);
        }
    }

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
