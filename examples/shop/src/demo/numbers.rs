//! The numbers of a run's orders and products.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// They begin with when the run began, so that none has been on the broker before, and end with one digit, which is what
/// people are shown.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    begin: i64,
}

impl Numbers {
    pub(super) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { begin: i64::try_from(now.as_millis()).unwrap_or_default() }
    }

    /// The number with this last digit.
    pub(super) fn id(&self, digit: i64) -> i64 {
        self.begin * 10 + digit
    }

    /// Whether it is a number of this run.
    pub(super) fn are_in(&self, number: &str) -> bool {
        number.parse::<i64>().is_ok_and(|number| number / 10 == self.begin)
    }

    /// The text with the last digit of each number alone.
    pub(super) fn shorten(&self, text: &str) -> String {
        text.replace(&self.to_string(), "")
    }
}

/// What they begin with.
impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn a_run_knows_its_own_numbers() {
        let numbers = Numbers { begin: 1_700_000_000_123 };
        assert_eq!(numbers.id(8), 17_000_000_001_238);
        assert!(numbers.are_in("17000000001238"));
        assert!(["17000000001248", "8", "1700000000123", "", "x"].iter().all(|other| !numbers.are_in(other)));
        assert_eq!(numbers.shorten("product 17000000001237: 40 wanted"), "product 7: 40 wanted");
    }
}
