//! What came of the demo, and what should have.

use crate::table::table;

/// Rows of a table.
pub type Rows = Vec<Vec<String>>;

/// What came of the demo.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What is left of each product.
    pub stock: Rows,
    /// What became of each order.
    pub orders: Rows,
    /// What ended in the dead letters.
    pub dead_letters: Rows,
}

const STOCK: [&str; 3] = ["product", "name", "left"];
const ORDERS: [&str; 5] = ["order", "asks for", "status", "parcel", "why"];
const DEAD_LETTERS: [&str; 6] = ["queue", "event", "order", "attempts", "reason", "error"];

impl Outcome {
    /// What should come of it.
    #[must_use]
    pub fn expected() -> Self {
        Self {
            stock: rows([["7", "carrot", "5"], ["8", "leek", "2"]]),
            orders: rows([
                ["1", "4 carrot", "confirmed", "sent, attempt 1", ""],
                ["2", "40 carrot", "rejected", "none", "product 7: 40 wanted, 6 in stock"],
                ["8", "1 carrot, 2 leek", "confirmed", "sent, attempt 3", ""],
                ["9", "1 leek", "confirmed", "dead letter", ""],
            ]),
            dead_letters: rows([[
                "warehouse.send_parcel.dead",
                "stock_reserved",
                "9",
                "1",
                "rejected",
                "no carrier goes there",
            ]]),
        }
    }

    fn parts(&self) -> [(&'static str, &[&str], &Rows); 3] {
        [
            ("Stock", &STOCK, &self.stock),
            ("Orders", &ORDERS, &self.orders),
            ("Dead letters", &DEAD_LETTERS, &self.dead_letters),
        ]
    }

    /// The tables.
    #[must_use]
    pub fn tables(&self) -> String {
        let tables = self.parts().map(|(title, head, rows)| {
            let head = head.iter().map(|&name| name.to_owned()).collect();
            table(title, &[vec![head], rows.clone()].concat())
        });
        tables.join("\n")
    }

    /// What a demo ends with: the tables and what is to be said of them, and the process's exit code.
    #[must_use]
    pub fn verdict(&self) -> (String, u8) {
        let (tables, differences) = (self.tables(), self.differences(&Self::expected()));
        if differences.is_empty() {
            return (format!("{tables}\nAll as it should be."), 0);
        }
        let differences = differences.join("\n  ");
        (format!("{tables}\nThis is not as it should be (does another shop run on this broker?):\n  {differences}"), 1)
    }

    /// The rows that are not as expected, a line each; none if all is right.
    #[must_use]
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((title, _, is), (_, _, should)) in self.parts().into_iter().zip(expected.parts()) {
            let missing = should.iter().filter(|row| !is.contains(row)).map(|row| ("missing", row));
            let wrong = is.iter().filter(|row| !should.contains(row)).map(|row| ("not expected", row));
            let before = lines.len();
            lines.extend(missing.chain(wrong).map(|(what, row)| format!("{title}: {what}: {}", row.join(" | "))));
            if lines.len() == before && is.len() != should.len() {
                lines.push(format!("{title}: {} rows instead of {}", is.len(), should.len()));
            }
        }
        lines
    }
}

fn rows<const COLUMNS: usize, const ROWS: usize>(rows: [[&str; COLUMNS]; ROWS]) -> Rows {
    rows.map(|row| row.map(str::to_owned).to_vec()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_expected_differs_in_nothing() {
        assert_eq!(Outcome::expected().differences(&Outcome::expected()), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_told() {
        let mut outcome = Outcome::expected();
        outcome.stock[0][2] = "6".to_owned();
        outcome.dead_letters.clear();
        assert_eq!(
            outcome.differences(&Outcome::expected()),
            [
                "Stock: missing: 7 | carrot | 5",
                "Stock: not expected: 7 | carrot | 6",
                "Dead letters: missing: warehouse.send_parcel.dead | stock_reserved | 9 | 1 | rejected | no carrier goes there",
            ]
        );
    }

    #[test]
    fn what_is_wrong_ends_with_1_and_what_differs() {
        assert_eq!(Outcome::expected().verdict().1, 0);
        let mut outcome = Outcome::expected();
        outcome.orders[2][2] = "pending".to_owned();
        let (said, code) = outcome.verdict();
        assert_eq!(code, 1);
        let different = "not expected: 8 | 1 carrot, 2 leek | pending | sent, attempt 3 | ";
        assert!(said.contains(different) && !said.contains("All as it should be"), "{said}");
    }

    #[test]
    fn a_row_that_is_there_twice_is_a_difference() {
        let mut outcome = Outcome::expected();
        outcome.dead_letters.push(outcome.dead_letters[0].clone());
        assert_eq!(outcome.differences(&Outcome::expected()), ["Dead letters: 2 rows instead of 1"]);
    }
}
