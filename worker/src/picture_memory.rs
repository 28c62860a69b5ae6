//! How workers tell each other how much memory they have for one picture: in the label of their queue's worker rows.

/// The label of a worker that has this many bytes for one picture.
pub(crate) fn label(bytes: u64) -> String {
    format!("{NAME}{bytes}")
}

/// The bytes in a label; `None`: the label of a version that does not say.
pub(crate) fn parse(label: &str) -> Option<u64> {
    label.strip_prefix(NAME)?.parse().ok()
}

const NAME: &str = "picture-memory-bytes=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_reads_as_it_was_written() {
        assert_eq!(parse(&label(5 << 30)), Some(5 << 30));
        assert_eq!(parse(""), None);
    }
}
