//! Confusion matrix: counts, and shares of each row as shades.

use maud::{Markup, html};

use super::canvas::{self, LINE, TEXT, round};
use super::series::with_tooltip;
use super::{Ink, Theme};

/// With more classes than this, a cell has its shade alone.
const MOST_COUNTS: usize = 20;
/// With more classes than this, a cell has no percentage below its count.
const MOST_SHARES: usize = 6;
/// Names of more classes than this cannot be read.
const MOST_NAMES: usize = 40;
/// A name beside a row is at most this wide.
const NAME_WIDTH: f64 = 130.0;
const SIZE: f64 = 380.0;
/// The shade of a whole row in one cell: on it, words are still read in either colour scheme.
const DARKEST: f64 = 0.55;

/// Confusion matrix.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// What it shows, for screen readers.
    pub title: String,
    pub classes: Vec<String>,
    /// Rows true, columns predicted.
    pub counts: Vec<Vec<u64>>,
}

impl Matrix {
    /// With more classes than this, cells are too small to see.
    pub const MOST_CLASSES: usize = 100;

    pub fn svg(&self, theme: Theme) -> Markup {
        let num_classes = self.classes.len();
        let names: Vec<String> = if num_classes <= MOST_NAMES {
            let cut = |class: &String| canvas::fit_name(class, NAME_WIDTH);
            self.classes.iter().map(cut).collect()
        } else {
            vec![]
        };
        let widest = names.iter().map(|n| canvas::width(n)).fold(0.0, f64::max);
        let left = widest + 10.0;
        let cell = ((SIZE - left) / num_classes.max(1) as f64).min(110.0);
        // Names of columns are turned where they do not fit.
        let is_turned = widest > cell - 4.0;
        let top = 2.0 * LINE + if is_turned { widest } else { LINE } + 2.0;
        let (right, bottom) = (
            left + cell * num_classes as f64,
            top + cell * num_classes as f64,
        );
        let centre = |index: usize| (index as f64 + 0.5) * cell;
        let drawn = |count: u64| count > 0 || num_classes <= MOST_COUNTS;
        let side = round(cell * num_classes as f64);
        let body = html! {
            rect x=(round(left)) y=(round(top)) width=(side) height=(side) fill="none"
                stroke=(theme.colour(Ink::Grid)) {}
            (canvas::text(theme, [0.0, TEXT], "start", Ink::Muted,
                "rows: true class, columns: predicted class"))
            @for (index, (name, class)) in names.iter().zip(&self.classes).enumerate() {
                @let names = html! {
                    (canvas::text(theme, [left - 8.0, top + centre(index) + 4.0], "end", Ink::Text, name))
                    (column(theme, [left + centre(index), top - 8.0], name, is_turned))
                };
                (with_tooltip(if name == class { "" } else { class }, &names))
            }
            @for (row, counts) in self.counts.iter().enumerate() {
                @let total: u64 = counts.iter().sum();
                // Of many classes, most pairs are never confused: cells without a count stay empty.
                @for (column, count) in counts.iter().enumerate().filter(|cell| drawn(*cell.1)) {
                    @let corner = [left + cell * column as f64, top + cell * row as f64];
                    (self.cell(theme, Cell { corner, size: cell, count: *count, total }))
                }
            }
        };
        canvas::svg(
            theme,
            [right.max(SIZE - 90.0), bottom + 2.0],
            &self.title,
            &body,
        )
    }

    fn cell(&self, theme: Theme, cell: Cell) -> Markup {
        let Cell {
            corner: [x, y],
            size,
            count,
            total,
        } = cell;
        let share = count as f64 / total.max(1) as f64;
        let num_classes = self.classes.len();
        let (has_count, has_share) = (num_classes <= MOST_COUNTS, num_classes <= MOST_SHARES);
        let middle = [x + size / 2.0, y + size / 2.0];
        let shift = if has_share { -3.0 } else { 4.0 };
        let side = round((size - 2.0).max(0.5));
        html! {
            rect x=(round(x + 1.0)) y=(round(y + 1.0)) width=(side) height=(side)
                rx=(round((size / 20.0).min(3.0))) stroke=(theme.colour(Ink::Grid))
                fill=(theme.colour(Ink::Series(0))) fill-opacity=(round(DARKEST * share)) {}
            @if has_count && (count > 0 || num_classes <= MOST_SHARES) {
                (canvas::text(theme, [middle[0], middle[1] + shift], "middle", Ink::Text,
                    &count.to_string()))
            }
            @if has_share {
                (canvas::text(theme, [middle[0], middle[1] + 13.0], "middle", Ink::Text,
                    &format!("{:.0} %", 100.0 * share)))
            }
        }
    }
}

/// A cell of the matrix; `total` is the count of its row.
struct Cell {
    corner: [f64; 2],
    size: f64,
    count: u64,
    total: u64,
}

fn column(theme: Theme, at: [f64; 2], name: &str, is_turned: bool) -> Markup {
    if !is_turned {
        return canvas::text(theme, at, "middle", Ink::Text, name);
    }
    let [x, y] = at.map(round);
    html! {
        text transform={ "translate(" (x + 4.0) " " (y) ") rotate(-90)" }
            fill=(theme.colour(Ink::Text)) { (name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(num_classes: usize) -> String {
        let row = |row| {
            (0..num_classes)
                .map(|column| u64::from(row == column) * 7)
                .collect()
        };
        let matrix = Matrix {
            title: "confusion".into(),
            classes: (0..num_classes).map(|i| format!("class {i}")).collect(),
            counts: (0..num_classes).map(row).collect(),
        };
        matrix.svg(Theme::Paper).into_string()
    }

    #[test]
    fn long_names_of_related_classes_stay_different_and_inside() {
        let names = ["worker", "queen"].map(|end| format!("Camponotus_pennsylvanicus_{end}"));
        let matrix = Matrix {
            title: String::new(),
            classes: names.to_vec(),
            counts: vec![vec![1, 0], vec![0, 1]],
        };
        let svg = matrix.svg(Theme::Page).into_string();
        let shown: Vec<&str> = svg
            .split("<text")
            .filter(|text| text.contains('…'))
            .collect();
        // Beside the rows and above the columns.
        assert_eq!(shown.len(), 4, "{svg}");
        assert!(svg.contains("…") && svg.contains("worker</text>") && svg.contains("queen</text>"));
        assert!(
            svg.contains("<title>Camponotus_pennsylvanicus_queen</title>"),
            "{svg}"
        );
    }

    #[test]
    fn counts_and_shares_are_written_while_there_is_room() {
        let two = matrix(2);
        assert!(two.contains(">7<") && two.contains(">100 %<") && two.contains(">0 %<"));
        let ten = matrix(10);
        assert!(ten.contains(">7<") && !ten.contains('%') && ten.contains("rotate"));
        let many = matrix(100);
        assert!(!many.contains(">7<") && !many.contains("class 3"));
        // The paper, the frame, and the cells that are not empty.
        assert_eq!(many.matches("<rect").count(), 2 + 100);
        assert_eq!(ten.matches("<rect").count(), 2 + 100);
    }
}
