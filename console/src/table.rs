//! Text tables: cells in columns of equal width, two spaces apart.

use std::fmt;

use unicode_width::UnicodeWidthStr;

/// Alignment and least width of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    is_right: bool,
    least: usize,
}

impl Column {
    /// Left-aligned, for words.
    pub const LEFT: Self = Self {
        is_right: false,
        least: 0,
    };
    /// Right-aligned, for numbers.
    pub const RIGHT: Self = Self {
        is_right: true,
        least: 0,
    };

    /// The same, at least this many characters wide.
    #[must_use]
    pub const fn at_least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    fn width(self, rows: &[Vec<String>], index: usize) -> usize {
        let cells = rows.iter().filter_map(|row| row.get(index));
        cells.map(|cell| cell.width()).fold(self.least, usize::max)
    }

    fn write(self, cell: &str, width: usize, line: &mut String) {
        // Not by `{:>width$}`, which counts letters: some are two columns wide.
        let blank = " ".repeat(width - cell.width());
        if self.is_right {
            line.extend([blank.as_str(), cell]);
        } else {
            line.extend([cell, blank.as_str()]);
        }
    }
}

/// Rows of cells; a row of headings is a row like others.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows; the last of `columns` stands for all columns after it.
    ///
    /// # Panics
    /// Without a column.
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        let columns = columns.into();
        assert!(!columns.is_empty(), "a table has at least one column");
        Self {
            columns,
            rows: vec![],
        }
    }

    pub fn row<S: ToString>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows
            .push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }
}

/// One line per row, without blanks or a line break at its end.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let column = |index: usize| self.columns[index.min(self.columns.len() - 1)];
        let widths: Vec<usize> = (0..count)
            .map(|index| column(index).width(&self.rows, index))
            .collect();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (index, cell) in row.iter().enumerate() {
                line.push_str(if index > 0 { "  " } else { "" });
                column(index).write(cell, widths[index], &mut line);
            }
            let line_break = if number > 0 { "\n" } else { "" };
            write!(f, "{line_break}{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_left_and_numbers_right() {
        let mut table = Table::new([Column::LEFT, Column::RIGHT]);
        table.row(["", "top-1", "runs"]);
        table.row(["cpu", "95.0", "7"]);
        table.row(["tensorrt", "", "12345"]);
        assert_eq!(
            table.to_string(),
            "          top-1   runs\n\
             cpu        95.0      7\n\
             tensorrt         12345"
        );
    }

    #[test]
    fn columns_have_a_least_width_and_rows_no_blanks_at_their_end() {
        let mut table = Table::new([Column::RIGHT.at_least(5), Column::LEFT]);
        table.row(["1 B", "a"]);
        table.row(["12345 B", "longer"]);
        table.row(["3 B"]);
        assert_eq!(table.to_string(), "    1 B  a\n12345 B  longer\n    3 B");
    }

    #[test]
    fn letters_may_be_two_columns_wide() {
        let mut table = Table::new([Column::LEFT, Column::RIGHT]);
        table.row(["蟻", "1"]);
        table.row(["bees", "10"]);
        assert_eq!(table.to_string(), "蟻     1\nbees  10");
    }

    #[test]
    fn no_rows_are_no_text() {
        assert_eq!(Table::new([Column::LEFT]).to_string(), "");
    }
}
