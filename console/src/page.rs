//! HTML pages that load nothing and run no script: the page around the sections, and tables, figures and facts
//! inside them.
//!
//! Every text is escaped (`maud`); the page's CSS defines the variables that charts take their
//! colours from, for light, dark and print.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::chart::{Chart, Theme};

/// Typography, both colour schemes and print.
const STYLE: &str = include_str!("page/page.css");

#[derive(Clone, Debug)]
pub struct Page<'a> {
    pub title: &'a str,
    /// The program that writes it, with its version.
    pub tool: &'a str,
    /// CSS of its own, after the common one.
    pub style: &'a str,
    pub body: Markup,
}

impl Page<'_> {
    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    // Whatever a data set calls its files, nothing is fetched and nothing runs.
                    meta http-equiv="Content-Security-Policy"
                        content="default-src 'none'; img-src data:; style-src 'unsafe-inline'";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) (PreEscaped(self.style)) }
                }
                body {
                    main { (self.body) }
                    footer {
                        p {
                            "Written by " (self.tool) ". This file is complete: it loads nothing and \
                            runs no script."
                        }
                    }
                }
            }
        };
        page.into_string()
    }
}

/// A titled part of the page, with a sentence on how it is read.
pub fn section(id: &str, title: &str, lead: &str, body: &Markup) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            @if !lead.is_empty() { p.lead { (lead) } }
            (body)
        }
    }
}

/// A chart with what it shows.
pub fn figure(chart: &Chart, title: &str, caption: &str) -> Markup {
    html! {
        figure.plot {
            h3 { (title) }
            (chart.svg(Theme::Page))
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    }
}

/// A table; cells from the second column on are numbers.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> Markup {
    marked_table(header, rows, &[])
}

/// A table, in which rows of these indices stand out.
pub fn marked_table(header: &[&str], rows: &[Vec<String>], marked: &[usize]) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr { @for cell in header { th scope="col" { (cell) } } } }
                tbody {
                    @for (index, row) in rows.iter().enumerate() {
                        tr class=[marked.contains(&index).then_some("marked")] {
                            @for (column, cell) in row.iter().enumerate() {
                                @if column == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Definition list of names and values.
pub fn facts(pairs: &[(&str, String)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in pairs {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(title: &str, body: Markup) -> String {
        let page = Page {
            title,
            tool: "trainer 1.0",
            style: "img { width: 1px }",
            body,
        };
        page.html()
    }

    #[test]
    fn a_page_loads_nothing_and_follows_light_and_dark() {
        let page = page("<b>", section("a", "A & B", "", &table(&["x"], &[])));
        for foreign in ["://", "<script", "<link", "@import", "url(", "<b>"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        for own in [
            "default-src 'none'",
            "prefers-color-scheme: dark",
            "img { width: 1px }</style>",
            "A &amp; B",
            "Written by trainer 1.0.",
        ] {
            assert!(page.contains(own), "{own}");
        }
    }

    #[test]
    fn rows_can_stand_out() {
        let rows = ["a", "b"].map(|name| vec![name.to_owned(), "1".to_owned()]);
        let text = marked_table(&["", "runs"], &rows, &[1]).into_string();
        assert_eq!(text.matches("<tr class=\"marked\">").count(), 1);
        assert!(
            text.contains("<tr class=\"marked\"><th scope=\"row\">b"),
            "{text}"
        );
        assert!(!table(&["", "runs"], &rows).into_string().contains("marked"));
    }
}
