//! An error with its causes, for the log.

use std::error::Error;

/// An error and its causes in one line. A cause that an error repeats in its own text is printed once.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        next = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn a_cause_is_printed_once() {
        let cause = Link { text: "connection refused", source: None };
        let repeating = Link { text: "cannot connect: connection refused", source: Some(Box::new(cause)) };
        let error = Link { text: "cannot start", source: Some(Box::new(repeating)) };
        assert_eq!(error_chain(&error), "cannot start: cannot connect: connection refused");
    }
}
