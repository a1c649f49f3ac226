//! Plot over two axes: lines, curves, bars, points with error bars, and reference lines.

use maud::{Markup, html};

use super::axis::{Axis, Scale};
use super::canvas::{self, LINE, TEXT, round};
use super::series::{self, dot, line};
use super::{Ink, Theme};

/// Lines with more points than this have no dots on them.
const MOST_DOTS: usize = 40;
const TICKS: [usize; 2] = [6, 5];

/// A chart over two axes.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// What it shows, for screen readers.
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    /// Drawn in this order, the first at the bottom.
    pub marks: Vec<Mark>,
    pub is_square: bool,
    pub legend: Legend,
}

/// Place of the legend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Legend {
    /// Above the chart.
    #[default]
    Above,
    /// On the page, once for several charts: [`legend`](super::legend).
    Elsewhere,
}

/// Mark: something drawn between the axes, in their values. `name` is its entry in the legend, `series` chooses
/// its colour, and points are `[x, y]`.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A line through points.
    Line {
        name: String,
        series: usize,
        /// Whether it is broken: in print, colour is not enough.
        is_dashed: bool,
        points: Vec<[f64; 2]>,
    },
    /// A line whose points are too many to be marked.
    Curve {
        name: String,
        series: usize,
        is_dashed: bool,
        points: Vec<[f64; 2]>,
    },
    /// Dots without a line.
    Dots {
        name: String,
        /// Written above the dots: colours and shapes alone are hard to look up.
        label: String,
        series: usize,
        points: Vec<[f64; 2]>,
        /// Whether a ring around them marks them out.
        is_ringed: bool,
    },
    /// Bars from zero, each over an interval of `x`.
    Bars {
        name: String,
        series: usize,
        /// From, to, and how high.
        bars: Vec<[f64; 3]>,
    },
    /// Points with an interval of `y` each.
    Points {
        name: String,
        series: usize,
        /// The points `[x, y]` and the intervals.
        points: Vec<([f64; 2], [f64; 2])>,
    },
    /// A thin reference line.
    Guide {
        name: String,
        from: [f64; 2],
        to: [f64; 2],
    },
    /// A vertical line at a value of `x`.
    Vertical { name: String, x: f64 },
}

impl Mark {
    fn name(&self) -> &str {
        match self {
            Self::Line { name, .. }
            | Self::Curve { name, .. }
            | Self::Dots { name, .. }
            | Self::Bars { name, .. }
            | Self::Points { name, .. }
            | Self::Guide { name, .. }
            | Self::Vertical { name, .. } => name,
        }
    }

    /// Values along `x` (0) or `y` (1).
    fn values(&self, side: usize) -> Vec<f64> {
        match self {
            Self::Line { points, .. } | Self::Curve { points, .. } | Self::Dots { points, .. } => {
                points.iter().map(|point| point[side]).collect()
            }
            Self::Points { points, .. } if side == 0 => points.iter().map(|p| p.0[0]).collect(),
            Self::Points { points, .. } => points.iter().flat_map(|p| p.1).collect(),
            Self::Bars { bars, .. } if side == 0 => {
                bars.iter().flat_map(|bar| [bar[0], bar[1]]).collect()
            }
            Self::Bars { bars, .. } => bars.iter().map(|bar| bar[2]).chain([0.0]).collect(),
            Self::Guide { from, to, .. } => vec![from[side], to[side]],
            Self::Vertical { .. } => vec![],
        }
    }
}

/// Layout of a chart.
struct Layout {
    width: f64,
    height: f64,
    x: Scale,
    y: Scale,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Plot {
    pub fn svg(&self, theme: Theme) -> Markup {
        let width = if self.is_square { 340.0 } else { 420.0 };
        let (legend, legend_height) = self.legend(theme, width);
        let layout = self.layout(width, LINE + legend_height);
        let body = html! {
            (canvas::text(theme, [0.0, TEXT], "start", Ink::Muted, &canvas::fit(&self.y.label, width)))
            (legend)
            (layout.axes(theme, &self.x.label))
            @for mark in &self.marks { (layout.mark(theme, mark)) }
            (layout.labels(theme, &self.marks))
        };
        canvas::svg(theme, [layout.width, layout.height], &self.title, &body)
    }

    fn layout(&self, width: f64, head: f64) -> Layout {
        let values = |side: usize| self.marks.iter().flat_map(move |mark| mark.values(side));
        let scale = |range| self.y.scale(values(1), range, TICKS[1]);
        // The labels do not depend on the range: any range tells how wide they are.
        let widest = scale([1.0, 0.0])
            .ticks()
            .iter()
            .map(|tick| canvas::width(&tick.1))
            .fold(0.0, f64::max);
        let (left, right, top) = (widest + 8.0, width - 12.0, head + 12.0);
        let bottom = top + if self.is_square { right - left } else { 170.0 };
        Layout {
            width,
            height: bottom + 2.0 * LINE + 6.0,
            x: self.x.scale(values(0), [left, right], TICKS[0]),
            y: scale([bottom, top]),
            left,
            right,
            top,
            bottom,
        }
    }

    /// The legend, in lines below the label of `y`, and its height.
    fn legend(&self, theme: Theme, width: f64) -> (Markup, f64) {
        const SWATCH: f64 = 22.0;
        let is_here = self.legend == Legend::Above;
        let named: Vec<&Mark> = self
            .marks
            .iter()
            .filter(|mark| is_here && !mark.name().is_empty())
            .collect();
        let (mut x, mut line) = (0.0, 1.0);
        let mut entries = vec![];
        for mark in named {
            let name = canvas::fit(mark.name(), width - SWATCH);
            let wide = SWATCH + 6.0 + canvas::width(&name) + 14.0;
            // A name that is wider than the chart still gets a line of its own.
            if x > 0.0 && x + wide > width {
                (x, line) = (0.0, line + 1.0);
            }
            entries.push((x, line * LINE, mark, name));
            x += wide;
        }
        if entries.is_empty() {
            return (html! {}, 0.0);
        }
        let markup = html! {
            @for (x, top, mark, name) in &entries {
                (swatch(theme, mark, [*x, top + TEXT - 4.0], SWATCH))
                (canvas::text(theme, [x + SWATCH + 6.0, top + TEXT], "start", Ink::Text, name))
            }
        };
        (markup, line * LINE)
    }
}

/// Sample of a mark in the legend, `width` wide.
fn swatch(theme: Theme, mark: &Mark, [x, y]: [f64; 2], width: f64) -> Markup {
    let (from, to) = ([x, y], [x + width, y]);
    match mark {
        Mark::Line {
            series, is_dashed, ..
        }
        | Mark::Curve {
            series, is_dashed, ..
        } => line(theme, &[from, to], *series, *is_dashed),
        Mark::Bars { series, .. } => html! {
            rect x=(round(x + 6.0)) y=(round(y - 5.0)) width="10" height="10"
                fill=(theme.colour(Ink::Series(*series))) {}
        },
        Mark::Points { series, .. } | Mark::Dots { series, .. } => {
            dot(theme, [x + width / 2.0, y], *series, 4.0)
        }
        Mark::Guide { .. } => guide(theme, from, to, "2 3"),
        Mark::Vertical { .. } => guide(
            theme,
            [x + width / 2.0, y - 6.0],
            [x + width / 2.0, y + 6.0],
            "none",
        ),
    }
}

impl Layout {
    fn position(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.x.position(x), self.y.position(y)]
    }

    /// Positions of points; those that are not finite are left out.
    fn positions(&self, points: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let usable = points
            .iter()
            .filter(|point| point.iter().all(|v| v.is_finite()));
        usable.map(|point| self.position(*point)).collect()
    }

    fn axes(&self, theme: Theme, label: &str) -> Markup {
        let below = self.bottom + LINE;
        html! {
            @for (y, tick) in self.y.ticks() {
                (canvas::rule(theme, [self.left, y], [self.right, y], Ink::Grid))
                (canvas::text(theme, [self.left - 6.0, y + 4.0], "end", Ink::Muted, &tick))
            }
            (canvas::rule(theme, [self.left, self.bottom], [self.right, self.bottom], Ink::Muted))
            @for (x, tick) in self.x.ticks() {
                (canvas::rule(theme, [x, self.bottom], [x, self.bottom + 4.0], Ink::Muted))
                (canvas::text(theme, [x, below], "middle", Ink::Muted, &tick))
            }
            (canvas::text(theme, [(self.left + self.right) / 2.0, below + LINE], "middle",
                Ink::Muted, label))
        }
    }

    /// The labels of dots, each above its dot and above those of its neighbours.
    fn labels(&self, theme: Theme, marks: &[Mark]) -> Markup {
        let mut wanted: Vec<([f64; 2], &str)> = vec![];
        for mark in marks {
            if let Mark::Dots { label, points, .. } = mark {
                wanted.extend(
                    self.positions(points)
                        .into_iter()
                        .map(|at| (at, label.as_str())),
                );
            }
        }
        wanted.retain(|(_, label)| !label.is_empty());
        wanted.sort_by(|a, b| a.0[0].total_cmp(&b.0[0]));
        let mut placed: Vec<([f64; 2], &str)> = vec![];
        for ([x, y], label) in wanted {
            let mut place = [x, y - 11.0];
            let is_near = |place: [f64; 2]| {
                placed.iter().any(|([x, y], other)| {
                    let wide = (canvas::width(other) + canvas::width(label)) / 2.0 + 3.0;
                    (x - place[0]).abs() < wide && (y - place[1]).abs() < TEXT
                })
            };
            while is_near(place) && place[1] > self.top {
                place[1] -= TEXT;
            }
            placed.push((place, label));
        }
        html! {
            @for ([x, y], label) in &placed {
                @let wide = canvas::width(label) + 2.0;
                // An interval runs through its dot, and would run through the label.
                rect x=(round(x - wide / 2.0)) y=(round(y - TEXT + 1.0)) width=(round(wide)) height=(round(TEXT))
                    fill=(theme.colour(Ink::Surface)) {}
                (canvas::text(theme, [*x, *y], "middle", Ink::Text, label))
            }
        }
    }

    fn mark(&self, theme: Theme, mark: &Mark) -> Markup {
        match mark {
            Mark::Line {
                series,
                is_dashed,
                points,
                ..
            } => {
                let positions = self.positions(points);
                html! {
                    (line(theme, &positions, *series, *is_dashed))
                    @if positions.len() <= MOST_DOTS {
                        @for position in &positions { (dot(theme, *position, *series, 2.5)) }
                    }
                }
            }
            Mark::Curve {
                name,
                series,
                is_dashed,
                points,
            } => {
                let line = line(theme, &self.positions(points), *series, *is_dashed);
                series::with_tooltip(name, &line)
            }
            Mark::Dots {
                name,
                series,
                points,
                is_ringed,
                ..
            } => {
                let dots = html! {
                    @for position in self.positions(points) {
                        @if *is_ringed { (series::ring(theme, position)) }
                        (dot(theme, position, *series, 5.0))
                    }
                };
                series::with_tooltip(name, &dots)
            }
            Mark::Bars { series, bars, .. } => html! {
                @for [from, to, height] in bars {
                    @let ([left, top], right) = (self.position([*from, *height]), self.x.position(*to));
                    rect x=(round(left + 0.5)) y=(round(top)) fill=(theme.colour(Ink::Series(*series)))
                        width=(round((right - left - 1.0).max(0.5))) height=(round(self.bottom - top)) {}
                }
            },
            Mark::Points { series, points, .. } => html! {
                @for (point, [low, high]) in points {
                    @let ([x, y], low, high) = (self.position(*point), self.y.position(*low), self.y.position(*high));
                    line x1=(round(x)) y1=(round(low)) x2=(round(x)) y2=(round(high))
                        stroke=(theme.colour(Ink::Series(*series))) stroke-width="1.5" {}
                    (dot(theme, [x, y], *series, 4.0))
                }
            },
            Mark::Guide { from, to, .. } => {
                guide(theme, self.position(*from), self.position(*to), "2 3")
            }
            Mark::Vertical { x, .. } => {
                let x = self.x.position(*x);
                guide(theme, [x, self.top], [x, self.bottom], "none")
            }
        }
    }
}

fn guide(theme: Theme, from: [f64; 2], to: [f64; 2], dashes: &str) -> Markup {
    let ([x1, y1], [x2, y2]) = (from.map(round), to.map(round));
    html! {
        line x1=(x1) y1=(y1) x2=(x2) y2=(y2) stroke=(theme.colour(Ink::Muted)) stroke-width="1.2"
            stroke-dasharray=(dashes) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<[f64; 2]>) -> Plot {
        Plot {
            title: "loss by epoch".into(),
            x: Axis::new("epoch").over(1.0, 3.0),
            y: Axis::new("loss (nats)").over(0.0, 1.0),
            marks: vec![Mark::Line {
                name: "validation".into(),
                series: 0,
                is_dashed: false,
                points,
            }],
            ..Plot::default()
        }
    }

    #[test]
    fn a_line_goes_from_the_lower_left_to_the_upper_right() {
        let svg = plot(vec![[1.0, 0.0], [3.0, 1.0]])
            .svg(Theme::Paper)
            .into_string();
        let points = svg
            .split("points=\"")
            .nth(2)
            .and_then(|rest| rest.split('"').next());
        let numbers: Vec<f64> = points
            .into_iter()
            .flat_map(|points| points.split([' ', ',']))
            .map(|number| number.parse().unwrap())
            .collect();
        let [x1, y1, x2, y2] = numbers[..] else {
            panic!("{svg}");
        };
        assert!(x1 < 60.0 && x2 == 408.0 && y1 - y2 == 170.0, "{numbers:?}");
        assert!(svg.contains("loss (nats)") && svg.contains("#0072b2"));
    }

    #[test]
    fn what_is_not_a_number_is_left_out() {
        let svg = plot(vec![[1.0, 0.5], [2.0, f64::NAN], [3.0, f64::INFINITY]]).svg(Theme::Page);
        let svg = svg.into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        // One dot, and the page's own colours.
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(svg.contains("var(--s1)") && !svg.contains('#'), "{svg}");
    }

    fn dots(series: usize, is_ringed: bool) -> Plot {
        let mark = Mark::Dots {
            label: String::new(),
            name: "cpu <fp32>".into(),
            series,
            points: vec![[1.0, 0.5], [2.0, 0.25], [3.0, f64::NAN]],
            is_ringed,
        };
        Plot {
            marks: vec![mark],
            ..plot(vec![])
        }
    }

    #[test]
    fn dots_are_named_once_and_marked_out_by_rings() {
        let svg = dots(0, true).svg(Theme::Page).into_string();
        assert_eq!(svg.matches("r=\"9\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("<title>cpu &lt;fp32&gt;</title>").count(), 1);
        assert_eq!(
            svg.matches("cpu &lt;fp32&gt;").count(),
            2,
            "with the legend"
        );
        let plain = Plot {
            legend: Legend::Elsewhere,
            ..dots(0, false)
        };
        let svg = plain.svg(Theme::Page).into_string();
        assert!(!svg.contains("r=\"9\""), "{svg}");
        assert_eq!(
            svg.matches("cpu &lt;fp32&gt;").count(),
            1,
            "its title alone"
        );
    }
}
