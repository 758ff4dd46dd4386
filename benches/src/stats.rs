//! Medians and what they are worth.

/// The middle of some values; the mean of both middles where their number is even. NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => f64::midpoint(*below, *above),
        (_, Some(middle)) => *middle,
        _ => f64::NAN,
    }
}

/// The narrowest interval between two of the values that holds the true median in at least 90 of 100 cases, whatever the
/// distribution: as with tosses of a coin, each value lies below the median or above it. All of the values where they are
/// too few.
pub(crate) fn interval(values: &[f64]) -> (f64, f64) {
    let sorted = sorted(values);
    let mut outside = 0;
    // Of 2 × (C(n,0) + … + C(n,outside)) / 2^n, all that stays below a tenth.
    let (mut choose, mut below) = (1.0, 1.0);
    let all = 2f64.powi(i32::try_from(sorted.len()).unwrap_or(i32::MAX));
    while 2.0 * below / all <= 0.1 {
        outside += 1;
        let count = f64::from(u32::try_from(sorted.len()).unwrap_or(u32::MAX));
        choose *= (count - f64::from(outside) + 1.0) / f64::from(outside);
        below += choose;
    }
    let skip = usize::try_from(outside).unwrap_or_default().saturating_sub(1);
    let ends = (sorted.get(skip), sorted.get(sorted.len().wrapping_sub(skip + 1)));
    ends.0.zip(ends.1).map_or((f64::NAN, f64::NAN), |(low, high)| (*low, *high))
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_interval_leaves_out_what_the_binomial_distribution_allows() {
        let of = |count: u32| interval(&(1..=count).map(f64::from).collect::<Vec<_>>());
        // P(X ≤ 3 of 15) = 0.0176, P(X ≤ 4 of 15) = 0.0592: the 4th to the 12th.
        assert_eq!(of(15), (4.0, 12.0));
        // P(X ≤ 0 of 5) = 0.031: the whole.
        assert_eq!(of(5), (1.0, 5.0));
        assert_eq!(of(3), (1.0, 3.0));
        // P(X ≤ 5 of 20) = 0.0207, P(X ≤ 6 of 20) = 0.0577: the 6th to the 15th.
        assert_eq!(of(20), (6.0, 15.0));
    }
}
