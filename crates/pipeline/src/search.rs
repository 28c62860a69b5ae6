//! Binary search for the encoder's quality that meets a number of bytes or a score.

use darkroom_model::recipe::Quality;

use crate::RenderError;

/// The result of the highest quality up to `highest` that fits; `None` where none does. Takes at most eight attempts. Assumes
/// that size grows with quality: where it does not, the result still fits but may not be the best.
pub(crate) fn highest_that_fits<T>(
    highest: Quality,
    mut make: impl FnMut(Quality) -> Result<T, RenderError>,
    fits: impl Fn(&T) -> bool,
) -> Result<Option<T>, RenderError> {
    let result = make(highest)?;
    if fits(&result) {
        return Ok(Some(result));
    }
    let mut best = None;
    let (mut low, mut high) = (Quality::MIN.get(), highest.get() - 1);
    while low <= high {
        let middle = low.midpoint(high);
        let result = make(Quality::new(middle).ok_or_else(|| RenderError::internal("quality out of range"))?)?;
        if fits(&result) {
            best = Some(result);
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    Ok(best)
}

/// The result of the lowest quality that is good enough; `None` where none is. Takes at most seven attempts. Assumes that the
/// score grows with quality: where it does not, the result is still good enough.
pub(crate) fn lowest_that_suffices<T>(
    mut make: impl FnMut(Quality) -> Result<T, RenderError>,
    suffices: impl Fn(&T) -> bool,
) -> Result<Option<T>, RenderError> {
    let mut best = None;
    let (mut low, mut high) = (Quality::MIN.get(), Quality::MAX.get());
    while low <= high {
        let middle = low.midpoint(high);
        let result = make(Quality::new(middle).ok_or_else(|| RenderError::internal("quality out of range"))?)?;
        if suffices(&result) {
            best = Some(result);
            high = middle - 1;
        } else {
            low = middle + 1;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_quality_that_fits_is_found_in_eight_attempts() {
        for (highest, largest) in (1..=100_u8).flat_map(|highest| (0..=101_u8).map(move |largest| (highest, largest))) {
            let mut attempts = 0;
            let make = |quality: Quality| {
                attempts += 1;
                Ok(quality.get())
            };
            let found = highest_that_fits(Quality::new(highest).unwrap(), make, |quality| *quality <= largest).unwrap();
            let expected = highest.min(largest);
            assert_eq!(found, (expected > 0).then_some(expected));
            assert!(attempts <= 8, "{attempts}");
        }
    }

    #[test]
    fn the_lowest_quality_that_suffices_is_found_in_seven_attempts() {
        for least in 0..=101_u8 {
            let mut attempts = 0;
            let make = |quality: Quality| {
                attempts += 1;
                Ok(quality.get())
            };
            let found = lowest_that_suffices(make, |quality| *quality >= least).unwrap();
            assert_eq!(found, (least <= 100).then_some(least.max(1)));
            assert!(attempts <= 7, "{attempts}");
        }
    }
}
