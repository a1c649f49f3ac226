//! Pictures as inline SVG: axes, steps, points. Knows no benchmark.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;
/// Room for the numbers on the left and below.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 46.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 16.0;

/// A line or a point, with its name and its classes, which give it a colour.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) class: String,
    /// x and y, in the order in which they are joined.
    pub(super) points: Vec<(f64, f64)>,
}

/// What an axis shows.
pub(super) struct Axis {
    pub(super) title: &'static str,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Equal distances are equal ratios.
    pub(super) log: bool,
}

impl Axis {
    /// From the least to the largest value, with a margin of 5 %.
    pub(super) fn over(title: &'static str, log: bool, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite() && (!log || *value > 0.0)) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = if log { (1.0, 10.0) } else { (0.0, 1.0) };
        }
        if log {
            let margin = (high / low).powf(0.05).max(1.1);
            (low, high) = (low / margin, high * margin);
        } else {
            let margin = (0.05 * (high - low)).max(0.01 * high.abs()).max(1e-9);
            (low, high) = (low - margin, high + margin);
        }
        Self {
            title,
            low,
            high,
            log,
        }
    }

    /// Where a value lies, 0 at the low end and 1 at the high one.
    fn share(&self, value: f64) -> f64 {
        if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Values to write at the axis: 1, 2 and 5 times powers of ten, at most nine of them.
    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let exponents = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let steps = |steps: &'static [f64]| -> Vec<f64> {
                let all = exponents
                    .clone()
                    .flat_map(|e| steps.iter().map(move |s| s * 10_f64.powi(e)));
                all.filter(|tick| (self.low..=self.high).contains(tick))
                    .collect()
            };
            let candidates: [&[f64]; 4] = [
                &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
                &[1.0, 2.0, 5.0],
                &[1.0, 3.0],
                &[1.0],
            ];
            let fitting = candidates
                .into_iter()
                .map(steps)
                .find(|ticks| ticks.len() <= 9);
            return fitting.unwrap_or_default();
        }
        let rough = (self.high - self.low) / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * power)
            .into_iter()
            .find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|n| n as f64 * step).collect()
    }
}

/// The text of a number at an axis.
fn label(value: f64) -> String {
    // Through 6 digits: 3 x 0.1 is not 0.3 in binary.
    let scale = 10_f64.powf(5.0 - value.abs().max(1e-12).log10().floor());
    format!("{}", (value * scale).round() / scale)
}

/// Text that may hold anything, for SVG and HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A picture under construction.
pub(super) struct Picture {
    x: Axis,
    y: Axis,
    body: String,
}

impl Picture {
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        let mut picture = Self {
            x,
            y,
            body: String::new(),
        };
        picture.axes();
        picture
    }

    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - BOTTOM - TOP),
        )
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        self.body.write_fmt(text).unwrap_or_default();
    }

    fn axes(&mut self) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in self.x.ticks() {
            let x = self.at((tick, self.y.low)).0;
            self.add(format_args!(
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/><text class=\"mid\" x=\"{x:.1}\" \
                 y=\"{:.1}\">{}</text>",
                bottom + 16.0,
                label(tick)
            ));
        }
        for tick in self.y.ticks() {
            let y = self.at((self.x.low, tick)).1;
            self.add(format_args!(
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"end\" x=\"{:.1}\" \
                 y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                label(tick)
            ));
        }
        let (x_title, y_title) = (self.x.title, self.y.title);
        self.add(format_args!(
            "<text class=\"mid title\" x=\"{:.1}\" y=\"{:.1}\">{x_title}</text><text class=\"mid title\" \
             transform=\"translate(13 {:.1}) rotate(-90)\">{y_title}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 8.0,
            (TOP + bottom) / 2.0
        ));
    }

    /// Points joined by a line.
    pub(super) fn line(&mut self, series: &Series) {
        let mut path = String::new();
        for (at, point) in series.points.iter().enumerate() {
            let (x, y) = self.at(*point);
            let command = if at == 0 { 'M' } else { 'L' };
            write!(path, "{command}{x:.1} {y:.1}").unwrap_or_default();
        }
        let (class, name) = (&series.class, escape(&series.name));
        self.add(format_args!(
            "<path class=\"line {class}\" d=\"{path}\"><title>{name}</title></path>"
        ));
    }

    /// A dot for each point, its name beside it; `ringed` marks one out.
    pub(super) fn dots(&mut self, series: &Series, ringed: bool) {
        let (class, name) = (&series.class, escape(&series.name));
        for point in &series.points {
            let (x, y) = self.at(*point);
            if ringed {
                self.add(format_args!(
                    "<circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"/>"
                ));
            }
            self.add(format_args!(
                "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{name}</title>\
                 </circle>"
            ));
        }
    }

    pub(super) fn finish(self, description: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            escape(description),
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_all_values_and_have_round_ticks() {
        let axis = Axis::over("x", false, [0.91, 0.97].into_iter());
        assert_eq!((axis.share(axis.low), axis.share(axis.high)), (0.0, 1.0));
        let ticks: Vec<_> = axis.ticks().into_iter().map(label).collect();
        assert_eq!(ticks, ["0.92", "0.94", "0.96"]);
        let axis = Axis::over("x", true, [0.5, 800.0].into_iter());
        assert_eq!(
            axis.ticks().into_iter().map(label).collect::<Vec<_>>(),
            ["1", "3", "10", "30", "100", "300", "1000"]
        );
        for values in [vec![], vec![0.0], vec![f64::NAN], vec![5.0, 5.0]] {
            for log in [false, true] {
                let axis = Axis::over("x", log, values.clone().into_iter());
                assert!(
                    axis.low < axis.high && axis.ticks().len() <= 9,
                    "{values:?}"
                );
            }
        }
    }

    #[test]
    fn names_cannot_break_out() {
        let mut picture = Picture::new(
            Axis::over("x", false, [0.0, 1.0].into_iter()),
            Axis::over("y", false, [0.0, 1.0].into_iter()),
        );
        let series = Series {
            name: "</svg><script>\"&".to_owned(),
            class: "c0".to_owned(),
            points: vec![(0.5, 0.5)],
        };
        picture.dots(&series, true);
        picture.line(&series);
        let text = picture.finish("a \"b\"");
        assert!(
            !text.contains("<script>") && text.matches("</svg>").count() == 1,
            "{text}"
        );
    }
}
