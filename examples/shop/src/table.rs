//! Tables, as text.

/// A table: a title, and rows of which the first is the head. The last column may be of any width.
pub(crate) fn table(title: &str, rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut text = format!("{title}\n");
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text += &format!("  {}\n", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["a", "bcd"], ["ef", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table("Title", &rows), "Title\n  a   bcd\n  ef\n");
    }
}
