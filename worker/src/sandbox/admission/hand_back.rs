//! When a large picture that finds no place should be claimed again.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The shortest time, so that a job is not claimed again and again.
const SHORTEST: Duration = Duration::from_secs(5);
/// The longest time, after which another process may have room.
const LONGEST: Duration = Duration::from_mins(5);
/// Time between two admissions before any was measured.
const FIRST_INTERVAL: Duration = Duration::from_millis(200);
/// A longer time between two admissions is a pause in the uploads.
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

/// Spreads the hand-backs: each is one place in a line behind the pictures that wait, as long as the line takes.
#[derive(Debug, Default)]
pub(super) struct HandBackTimes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The average time between two admissions of large pictures.
    interval: Option<Duration>,
    last_admission: Option<Instant>,
    /// When the picture that was handed back last should be admitted.
    end_of_line: Option<Instant>,
}

impl HandBackTimes {
    /// A large picture was admitted.
    pub(super) fn admitted(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(last) = state.last_admission.replace(now) {
            let sample = (now - last).min(LONGEST_INTERVAL);
            state.interval = Some(state.interval.map_or(sample, |average| (average * 7 + sample) / 8));
        }
    }

    /// When the next picture should be claimed again, if this number waits before it.
    pub(super) fn next(&self, waiting: usize) -> Duration {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let interval = state.interval.unwrap_or(FIRST_INTERVAL);
        let behind_the_waiting = now + (interval * u32::try_from(waiting).unwrap_or(u32::MAX)).max(SHORTEST);
        let end = state.end_of_line.map_or(behind_the_waiting, |end| behind_the_waiting.max(end + interval));
        let end = end.min(now + LONGEST);
        state.end_of_line = Some(end);
        end - now
    }
}
