//! What a Postgres program writes to its standard error: passed on, and its end kept for the error message.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    task::JoinHandle,
    time::timeout,
};

/// Takes each line that Postgres logs.
pub type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

/// A log that is being read.
pub(super) struct Log {
    last_lines: JoinHandle<VecDeque<String>>,
}

impl Log {
    /// Reads until the program and its children have ended, so that none of them ever waits for us.
    pub(super) fn read(from: Option<impl AsyncRead + Send + Unpin + 'static>, sink: Option<LogSink>) -> Self {
        const KEPT: usize = 50;
        let last_lines = tokio::spawn(async move {
            let mut last = VecDeque::with_capacity(KEPT);
            let Some(from) = from else { return last };
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(sink) = &sink {
                    sink(&line);
                }
                if last.len() == KEPT {
                    last.pop_front();
                }
                last.push_back(line);
            }
            last
        });
        Self { last_lines }
    }

    /// Why a program that has ended did so: the gravest of its last lines. To be asked once.
    pub(super) async fn reason(&mut self) -> String {
        let lines = match timeout(Duration::from_secs(2), &mut self.last_lines).await {
            Ok(Ok(lines)) => lines,
            _ => VecDeque::new(),
        };
        gravest(&lines).unwrap_or("it gave no reason").to_owned()
    }
}

/// A full disk, which has the gravest consequences, or else the last line of the gravest kind; without the word for its
/// kind.
fn gravest(lines: &VecDeque<String>) -> Option<&str> {
    let last_with = |part| lines.iter().rev().find(|line| line.contains(part));
    let line =
        ["No space left on device", "PANIC:", "FATAL:", "error:", "ERROR:", ""].into_iter().find_map(last_with)?;
    let kind = ["PANIC:", "FATAL:", "error:", "ERROR:"].into_iter().find_map(|kind| line.split_once(kind));
    Some(kind.map_or(line.as_str(), |(_, text)| text).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_line_counts_and_else_the_last() {
        let lines = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let log = lines(&["LOG:  starting", "FATAL:  no space left", "LOG:  database system is shut down"]);
        assert_eq!(gravest(&log), Some("no space left"));
        assert_eq!(gravest(&lines(&["LOG:  starting", "killed "])), Some("killed"));
        let full = lines(&["FATAL:  cannot write: No space left on device", "PANIC:  cannot abort"]);
        assert_eq!(gravest(&full), Some("cannot write: No space left on device"));
        assert_eq!(gravest(&lines(&[])), None);
    }
}
