//! The page around the sections. It refers to nothing outside itself.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Typography, both colour schemes and print.
const STYLE: &str = include_str!("page.css");

/// A whole HTML file.
pub(super) fn page(title: &str, body: &Markup) -> String {
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
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer {
                    p {
                        "Written by trainer " (env!("CARGO_PKG_VERSION")) ". This file is complete: \
                        it loads nothing and runs no script."
                    }
                }
            }
        }
    };
    page.into_string()
}
