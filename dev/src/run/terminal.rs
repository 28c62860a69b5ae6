//! The output of several programs in one terminal.

use std::{
    env,
    io::{IsTerminal as _, Write as _},
};

/// Prints lines, each with the name of its program.
#[derive(Clone)]
pub(super) struct Terminal {
    colour: bool,
}

impl Terminal {
    /// In colour if stdout is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
    pub(super) fn new() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: std::io::stdout().is_terminal() && !refused }
    }

    /// Whether lines have colours.
    pub(super) fn colour(&self) -> bool {
        self.colour
    }

    /// Prints one line.
    pub(super) fn print(&self, name: &str, text: &str) {
        let mut out = std::io::stdout().lock();
        // A closed stdout does not stop the stack; a signal does.
        let _ = match (self.colour, name) {
            (false, _) => writeln!(out, "{name:8} | {text}"),
            (true, "darkroom") => writeln!(out, "\x1b[1m{name:8} |\x1b[0m {text}"),
            (true, "api") => writeln!(out, "\x1b[36m{name:8} |\x1b[0m {text}"),
            (true, "worker") => writeln!(out, "\x1b[33m{name:8} |\x1b[0m {text}"),
            (true, _) => writeln!(out, "\x1b[35m{name:8} |\x1b[0m {text}"),
        };
    }
}
