//! Styles of data series: colours, and from the seventh series on also dashes and shapes of dots.

use maud::{Markup, html};

use super::canvas::{TEXT, round};
use super::{Ink, NUM_COLOURS, Theme};

/// Dashes of the first, second and third six series. 18 are more than anybody tells apart.
const DASHES: [Option<&str>; 3] = [None, Some("7 4"), Some("2 3")];
/// Dashes of a line that a plain one of its colour belongs to.
const COMPANION: &str = "5 3";

/// How often the colours have been through before this series.
fn colour_round(series: usize) -> usize {
    series / NUM_COLOURS % DASHES.len()
}

/// A line through positions; `is_companion` where a plain line of its colour belongs to it.
pub(super) fn line(
    theme: Theme,
    positions: &[[f64; 2]],
    series: usize,
    is_companion: bool,
) -> Markup {
    let points: Vec<String> = positions
        .iter()
        .map(|[x, y]| format!("{},{}", round(*x), round(*y)))
        .collect();
    let dashes = if is_companion {
        Some(COMPANION)
    } else {
        DASHES[colour_round(series)]
    };
    html! {
        polyline points=(points.join(" ")) fill="none" stroke=(theme.colour(Ink::Series(series)))
            stroke-width="2" stroke-linejoin="round" stroke-dasharray=[dashes] {}
    }
}

/// A dot: a circle, a square or a diamond.
pub(super) fn dot(theme: Theme, [x, y]: [f64; 2], series: usize, radius: f64) -> Markup {
    let fill = theme.colour(Ink::Series(series));
    // sqrt(pi) / 2: the square has the area of the circle.
    let half = radius * 0.886;
    let (left, top, side) = (round(x - half), round(y - half), round(2.0 * half));
    let (x, y) = (round(x), round(y));
    html! {
        @match colour_round(series) {
            0 => { circle cx=(x) cy=(y) r=(radius) fill=(fill) {} }
            1 => { rect x=(left) y=(top) width=(side) height=(side) fill=(fill) {} }
            _ => {
                rect x=(left) y=(top) width=(side) height=(side) fill=(fill)
                    transform={ "rotate(45 " (x) " " (y) ")" } {}
            }
        }
    }
}

/// A ring around a dot.
pub(super) fn ring(theme: Theme, [x, y]: [f64; 2]) -> Markup {
    html! {
        circle cx=(round(x)) cy=(round(y)) r="9" fill="none" stroke=(theme.colour(Ink::Text))
            stroke-width="1.5" {}
    }
}

/// The drawing in a group, with `name` as its tooltip.
pub(super) fn with_tooltip(name: &str, drawn: &Markup) -> Markup {
    html! {
        g {
            @if !name.is_empty() { title { (name) } }
            (drawn)
        }
    }
}

/// Names of the series 0, 1, 2 and so on, for a page whose charts leave them out.
pub fn legend(names: &[String]) -> Markup {
    const WIDTH: f64 = 28.0;
    html! {
        ul.legend {
            @for (series, name) in names.iter().enumerate() {
                li {
                    svg viewBox={ "0 0 " (WIDTH) " " (TEXT) } aria-hidden="true" {
                        (line(Theme::Page, &[[0.0, TEXT / 2.0], [WIDTH, TEXT / 2.0]], series, false))
                        (dot(Theme::Page, [WIDTH / 2.0, TEXT / 2.0], series, 4.0))
                    }
                    (name)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighteen_series_look_different() {
        let looks = |series: usize| {
            let line = line(Theme::Page, &[[0.0, 0.0], [1.0, 1.0]], series, false);
            let dot = dot(Theme::Page, [5.0, 5.0], series, 4.0);
            line.into_string() + &dot.into_string()
        };
        let mut all: Vec<String> = (0..18).map(looks).collect();
        assert!(all[6].contains("7 4") && all[6].contains("var(--s1)"));
        assert!(!all[6].contains("circle") && all[12].contains("rotate(45 5 5)"));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 18);
    }

    #[test]
    fn a_companion_of_the_first_series_is_dashed() {
        let line = |is_companion| line(Theme::Paper, &[], 0, is_companion).into_string();
        assert!(line(true).contains("5 3") && !line(false).contains("dasharray"));
    }

    #[test]
    fn names_cannot_break_out_of_the_legend() {
        let text = legend(&["</svg><script>".to_owned(), "cpu".to_owned()]).into_string();
        assert!(
            !text.contains("<script") && text.matches("<li>").count() == 2,
            "{text}"
        );
    }
}
