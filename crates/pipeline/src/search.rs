//! The quality that meets a number of bytes, or a score.

use darkroom_model::recipe::Quality;

use crate::RenderError;

/// What the highest quality up to `highest` makes for which it is small enough; `None` if nothing is. Halves the range
/// until one quality is left, so it takes eight attempts at most, and trusts that a higher quality makes more bytes:
/// where it does not, what is found is still small enough.
pub(crate) fn highest_that_fits<T>(
    highest: Quality,
    mut make: impl FnMut(Quality) -> Result<T, RenderError>,
    fits: impl Fn(&T) -> bool,
) -> Result<Option<T>, RenderError> {
    let made = make(highest)?;
    if fits(&made) {
        return Ok(Some(made));
    }
    let mut best = None;
    let (mut low, mut high) = (Quality::MIN.get(), highest.get() - 1);
    while low <= high {
        let middle = low.midpoint(high);
        let made = make(Quality::new(middle).ok_or_else(|| RenderError::bug("a quality out of range"))?)?;
        if fits(&made) {
            best = Some(made);
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    Ok(best)
}

/// What the lowest quality makes that is good enough; `None` if nothing is. Seven attempts at most, in the same way and
/// with the same trust: what is found is good enough whatever the others are.
pub(crate) fn lowest_that_serves<T>(
    mut make: impl FnMut(Quality) -> Result<T, RenderError>,
    serves: impl Fn(&T) -> bool,
) -> Result<Option<T>, RenderError> {
    let mut best = None;
    let (mut low, mut high) = (Quality::MIN.get(), Quality::MAX.get());
    while low <= high {
        let middle = low.midpoint(high);
        let made = make(Quality::new(middle).ok_or_else(|| RenderError::bug("a quality out of range"))?)?;
        if serves(&made) {
            best = Some(made);
            high = middle - 1;
        } else {
            low = middle + 1;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_highest_quality_that_fits_is_found_in_eight_attempts() {
        for (highest, largest) in (1..=100_u8).flat_map(|highest| (0..=101_u8).map(move |largest| (highest, largest))) {
            let mut attempts = 0;
            let make = |quality: Quality| {
                attempts += 1;
                Ok(quality.get())
            };
            let found = highest_that_fits(Quality::new(highest).unwrap(), make, |made| *made <= largest).unwrap();
            let expected = highest.min(largest);
            assert_eq!(found, (expected > 0).then_some(expected));
            assert!(attempts <= 8, "{attempts}");
        }
    }

    #[test]
    fn the_lowest_quality_that_serves_is_found_in_seven_attempts() {
        for least in 0..=101_u8 {
            let mut attempts = 0;
            let make = |quality: Quality| {
                attempts += 1;
                Ok(quality.get())
            };
            let found = lowest_that_serves(make, |made| *made >= least).unwrap();
            assert_eq!(found, (least <= 100).then_some(least.max(1)));
            assert!(attempts <= 7, "{attempts}");
        }
    }
}
