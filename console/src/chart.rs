//! Charts as SVG. It knows no run and reads no file.
//!
//! A chart is drawn in one of two themes: on a page it takes its colours from the page's CSS
//! variables, so that it follows light and dark; on paper they are fixed.

mod axis;
mod canvas;
#[cfg(feature = "png")]
mod font;
mod matrix;
mod normal_deviate;
mod plot;
#[cfg(feature = "png")]
mod raster;
mod series;

pub use axis::{Axis, Scaling};
#[cfg(feature = "png")]
pub use font::{TextMask, text_mask};
pub use matrix::Matrix;
pub use plot::{Legend, Mark, Plot};
#[cfg(feature = "png")]
pub use raster::{RasterError, png};
pub use series::legend;

use maud::Markup;

/// Colour theme: of a page, or of paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// In a page that defines `--text`, `--muted`, `--grid`, `--surface` and `--s1` to `--s6`.
    Page,
    /// On white: files for papers.
    Paper,
}

/// Role of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Text,
    /// Secondary text.
    Muted,
    Grid,
    /// Background.
    Surface,
    /// The data of one series, counted from 0; the colours repeat after six, with other dashes and
    /// shapes of dots.
    Series(usize),
}

/// How many series have a colour of their own.
pub const NUM_COLOURS: usize = 6;

/// Colours that people with any colour vision can tell apart (Okabe and Ito 2008), without the
/// yellow, which is too light on white.
const PAPER: [&str; NUM_COLOURS] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
];
const PAGE: [&str; NUM_COLOURS] = [
    "var(--s1)",
    "var(--s2)",
    "var(--s3)",
    "var(--s4)",
    "var(--s5)",
    "var(--s6)",
];

impl Theme {
    /// The colour for it, as an SVG attribute has it.
    pub fn colour(self, ink: Ink) -> &'static str {
        match (self, ink) {
            (Self::Page, Ink::Text) => "var(--text)",
            (Self::Page, Ink::Muted) => "var(--muted)",
            (Self::Page, Ink::Grid) => "var(--grid)",
            (Self::Page, Ink::Surface) => "var(--surface)",
            (Self::Page, Ink::Series(series)) => PAGE[series % NUM_COLOURS],
            (Self::Paper, Ink::Text) => "#1a1a1a",
            (Self::Paper, Ink::Muted) => "#555555",
            (Self::Paper, Ink::Grid) => "#dddddd",
            (Self::Paper, Ink::Surface) => "#ffffff",
            (Self::Paper, Ink::Series(series)) => PAPER[series % NUM_COLOURS],
        }
    }
}

/// Chart of either form.
#[derive(Clone, Debug)]
pub enum Chart {
    /// Over two axes.
    Plot(Plot),
    /// Confusion matrix.
    Matrix(Matrix),
}

impl Chart {
    pub fn svg(&self, theme: Theme) -> Markup {
        match self {
            Self::Plot(plot) => plot.svg(theme),
            Self::Matrix(matrix) => matrix.svg(theme),
        }
    }

    /// As the text of an SVG file, for papers.
    pub fn file(&self) -> String {
        let svg = self.svg(Theme::Paper).into_string();
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{svg}\n")
    }
}

impl From<Plot> for Chart {
    fn from(plot: Plot) -> Self {
        Self::Plot(plot)
    }
}

impl From<Matrix> for Chart {
    fn from(matrix: Matrix) -> Self {
        Self::Matrix(matrix)
    }
}
