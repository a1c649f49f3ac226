//! What all charts share: the `svg` element, text and its width.

use maud::{Markup, html};

use super::{Ink, Theme};

/// Height of text, in units of the chart.
pub(super) const TEXT: f64 = 12.0;
/// From one line of text to the next.
pub(super) const LINE: f64 = 17.0;
/// White around a chart that stands alone.
const MARGIN: f64 = 8.0;
/// How far a page may enlarge a chart.
const LARGEST: f64 = 1.15;

/// The `svg` element around a chart of `size`.
pub(super) fn svg(theme: Theme, size: [f64; 2], title: &str, body: &Markup) -> Markup {
    let paper = theme == Theme::Paper;
    let margin = if paper { MARGIN } else { 0.0 };
    let corner = 0.0 - margin;
    let [width, height] = size.map(|side| round(side + 2.0 * margin));
    // Text of a chart is about as large as that of the page, however wide its column.
    let widest = (!paper).then(|| format!("max-width:{:.0}px", LARGEST * width));
    html! {
        svg xmlns=[paper.then_some("http://www.w3.org/2000/svg")]
            viewBox={ (corner) " " (corner) " " (width) " " (height) }
            width=[paper.then_some(width)] height=[paper.then_some(height)]
            style=[widest]
            font-family=[paper.then_some("Helvetica, Arial, sans-serif")] font-size=(TEXT)
            role="img" aria-label=(title) {
            @if paper {
                rect x=(corner) y=(corner) width=(width) height=(height)
                    fill=(theme.colour(Ink::Surface)) {}
            }
            (body)
        }
    }
}

/// A word at a place; `anchor` is `start`, `middle` or `end`.
pub(super) fn text(theme: Theme, at: [f64; 2], anchor: &str, ink: Ink, text: &str) -> Markup {
    let [x, y] = at.map(round);
    html! {
        text x=(x) y=(y) text-anchor=(anchor) fill=(theme.colour(ink)) { (text) }
    }
}

/// A straight line.
pub(super) fn rule(theme: Theme, from: [f64; 2], to: [f64; 2], ink: Ink) -> Markup {
    let ([x1, y1], [x2, y2]) = (from.map(round), to.map(round));
    html! { line x1=(x1) y1=(y1) x2=(x2) y2=(y2) stroke=(theme.colour(ink)) {} }
}

/// About how wide a text is in DejaVu Sans, the widest of the fonts that a page falls back to: text that is wider than
/// was thought is cut at the edge of the chart.
pub(super) fn width(text: &str) -> f64 {
    let letter = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ' ' | '\'' | '|' => 0.34,
        'm' | 'w' | 'M' | 'W' | '%' => 0.98,
        c if c.is_uppercase() => 0.76,
        // Wide as they are high: Chinese, Japanese, Korean.
        c if c as u32 >= 0x2e80 => 1.0,
        c if c.is_ascii_digit() => 0.64,
        _ => 0.62,
    };
    TEXT * text.chars().map(letter).sum::<f64>()
}

/// A text cut to a width, with an ellipsis.
pub(super) fn fit(text: &str, most: f64) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut cut = String::new();
    for letter in text.chars() {
        if width(&cut) + width("…") + width(&letter.to_string()) > most {
            break;
        }
        cut.push(letter);
    }
    cut + "…"
}

/// A name cut in its middle: those of related classes differ at their ends.
pub(super) fn fit_name(name: &str, most: f64) -> String {
    if width(name) <= most {
        return name.to_owned();
    }
    let half = (most - width("…")) / 2.0;
    let take = |letters: &mut dyn Iterator<Item = char>| {
        let mut part = String::new();
        for letter in letters {
            if width(&part) + width(&letter.to_string()) > half {
                break;
            }
            part.push(letter);
        }
        part
    };
    let (start, end) = (take(&mut name.chars()), take(&mut name.chars().rev()));
    format!("{start}…{}", end.chars().rev().collect::<String>())
}

/// Two digits are enough for a place, and make the file small.
pub(super) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_to_the_width() {
        assert_eq!(fit("ants", 60.0), "ants");
        let cut = fit("a rather long name of a class", 60.0);
        assert!(cut.ends_with('…') && width(&cut) <= 60.0, "{cut}");
    }

    #[test]
    fn names_that_differ_at_an_end_stay_different() {
        assert_eq!(fit_name("ants", 60.0), "ants");
        let cut = ["worker", "queen"]
            .map(|end| fit_name(&format!("Camponotus_pennsylvanicus_{end}"), 96.0));
        assert_ne!(cut[0], cut[1]);
        for cut in cut {
            assert!(
                cut.starts_with("Camp") && cut.contains('…') && width(&cut) <= 96.0,
                "{cut}"
            );
        }
    }

    #[test]
    fn names_cannot_break_out_of_the_drawing() {
        let body = text(Theme::Page, [0.0, 0.0], "start", Ink::Text, "<script>&");
        let svg = svg(Theme::Paper, [10.0, 10.0], "\"><script>", &body).into_string();
        assert!(
            !svg.contains("<script") && svg.contains("&lt;script&gt;&amp;"),
            "{svg}"
        );
    }
}
