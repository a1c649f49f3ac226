//! Axes and scales: from values to positions along a side of a chart, with round ticks.

use super::normal_deviate::normal_deviate;

/// How far an axis goes beyond its values, as a share of their range.
const MARGIN: f64 = 0.08;
/// Shares of 0 and 1 have no normal deviate.
const LEAST_SHARE: f64 = 1e-9;
/// Round values of an axis of normal deviates, those below a half.
const ROUND_PERCENTAGES: [f64; 12] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0,
];

/// Scaling of an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    #[default]
    Linear,
    /// Linear, with ticks at whole numbers alone.
    Whole,
    /// Logarithmic; values are above zero.
    Log,
    /// By the quantiles of the normal distribution; values are percentages between 0 and 100.
    NormalDeviate,
}

impl Scaling {
    /// What lies evenly along the axis.
    fn map(self, value: f64) -> f64 {
        match self {
            Self::Linear | Self::Whole => value,
            Self::Log => value.max(f64::MIN_POSITIVE).ln(),
            Self::NormalDeviate => {
                normal_deviate((value / 100.0).clamp(LEAST_SHARE, 1.0 - LEAST_SHARE))
            }
        }
    }

    /// Whether a value can be drawn.
    fn has(self, value: f64) -> bool {
        match self {
            Self::Linear | Self::Whole => value.is_finite(),
            Self::Log => value.is_finite() && value > 0.0,
            Self::NormalDeviate => value > 0.0 && value < 100.0,
        }
    }
}

/// Axis of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What is measured, with its unit.
    pub label: String,
    /// First and last value; that of the data when `None`.
    pub domain: Option<[f64; 2]>,
    pub scaling: Scaling,
    /// Names of the values 0, 1, 2 and so on at the ticks; numbers where there are none.
    pub names: Vec<String>,
}

impl Axis {
    /// A linear axis over the data.
    pub fn new(label: impl Into<String>) -> Axis {
        Axis {
            label: label.into(),
            ..Axis::default()
        }
    }

    /// The same over fixed values.
    #[must_use]
    pub fn over(self, first: f64, last: f64) -> Axis {
        Axis {
            domain: Some([first, last]),
            ..self
        }
    }

    /// The same with another scaling.
    #[must_use]
    pub fn scaled(self, scaling: Scaling) -> Axis {
        Axis { scaling, ..self }
    }

    /// A categorical axis: names for 0, 1, 2 and so on.
    #[must_use]
    pub fn named(self, names: Vec<String>) -> Axis {
        let last = names.len().saturating_sub(1) as f64;
        Axis {
            names,
            ..self.over(0.0, last.max(1.0)).scaled(Scaling::Whole)
        }
    }

    /// The same from a little below the least of the values to a little above the largest: nothing
    /// lies on the edge.
    #[must_use]
    pub fn around(self, values: impl Iterator<Item = f64>) -> Axis {
        let [least, most] = bounds(values, self.scaling).unwrap_or(default_domain(self.scaling));
        if self.scaling == Scaling::Log {
            let margin = (most / least).powf(MARGIN).max(1.0 + MARGIN);
            return self.over(least / margin, most * margin);
        }
        // A single value lies in the middle of one hundredth of it to both sides.
        let around_one = if most == 0.0 { 1.0 } else { 0.01 * most.abs() };
        let margin = if least < most {
            MARGIN * (most - least)
        } else {
            around_one
        };
        self.over(least - margin, most + margin)
    }

    /// Lays the axis along `range` of the chart: its own domain, or that of `values` rounded to
    /// ticks, about `count` of them.
    pub(super) fn scale(
        &self,
        values: impl Iterator<Item = f64>,
        range: [f64; 2],
        count: usize,
    ) -> Scale {
        let domain = self.domain;
        let mut domain = domain.unwrap_or_else(|| extent(values, self.scaling));
        let mut step = step(domain, count);
        if self.scaling == Scaling::Whole {
            step = step.max(1.0);
        }
        if self.domain.is_none() && self.scaling == Scaling::Linear {
            // Out to the next ticks.
            let [first, last] = domain.map(|value| value / step);
            domain = [(first + 1e-9).floor(), (last - 1e-9).ceil()].map(|value| value * step);
        }
        let own_ticks = match self.scaling {
            Scaling::Linear | Scaling::Whole => Vec::new(),
            Scaling::Log => log_ticks(domain, count),
            Scaling::NormalDeviate => percentage_ticks(domain),
        };
        let ticks = match own_ticks.len() {
            // Over less than a part of a decade, all kinds of axis look the same.
            ..2 => multiples(domain, step),
            _ => own_ticks,
        };
        Scale {
            domain,
            range,
            scaling: self.scaling,
            ticks,
            names: self.names.clone(),
        }
    }
}

/// A round value of an axis, and how far it is from the next of its kind.
#[derive(Clone, Copy, Debug)]
struct Tick {
    value: f64,
    step: f64,
}

/// Scale: from values to positions along a side of a chart.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    domain: [f64; 2],
    range: [f64; 2],
    scaling: Scaling,
    ticks: Vec<Tick>,
    names: Vec<String>,
}

impl Scale {
    /// Position of a value; values outside lie at the end.
    pub(super) fn position(&self, value: f64) -> f64 {
        let [first, last] = self.domain.map(|end| self.scaling.map(end));
        let share = ((self.scaling.map(value) - first) / (last - first)).clamp(0.0, 1.0);
        self.range[0] + share * (self.range[1] - self.range[0])
    }

    /// Positions and labels of the ticks.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let label = |&Tick { value, step }: &Tick| {
            let name = self.names.get(value.round() as usize).cloned();
            (
                self.position(value),
                name.unwrap_or_else(|| tick_label(value, step)),
            )
        };
        self.ticks.iter().map(label).collect()
    }
}

/// The least and the largest of the values that can be drawn.
fn bounds(values: impl Iterator<Item = f64>, scaling: Scaling) -> Option<[f64; 2]> {
    let [least, most] = values.filter(|value| scaling.has(*value)).fold(
        [f64::INFINITY, f64::NEG_INFINITY],
        |[least, most], value| [least.min(value), most.max(value)],
    );
    (least <= most).then_some([least, most])
}

/// Domain of an axis without values.
fn default_domain(scaling: Scaling) -> [f64; 2] {
    match scaling {
        Scaling::Linear | Scaling::Whole => [0.0, 1.0],
        Scaling::Log => [0.1, 1.0],
        Scaling::NormalDeviate => [0.1, 99.9],
    }
}

/// The least and the largest value, never the same.
fn extent(values: impl Iterator<Item = f64>, scaling: Scaling) -> [f64; 2] {
    match (bounds(values, scaling), scaling) {
        (None, _) => default_domain(scaling),
        (Some([least, most]), _) if least < most => [least, most],
        (Some([least, most]), Scaling::Log) => [least / 10.0, most * 10.0],
        (Some([least, most]), Scaling::NormalDeviate) => [least / 2.0, f64::midpoint(most, 100.0)],
        (Some([least, most]), Scaling::Whole) => [least - 1.0, most + 1.0],
        (Some([0.0, _]), Scaling::Linear) => [0.0, 1.0],
        (Some([least, most]), Scaling::Linear) => [least.min(0.0), (2.0 * most).max(0.0)],
    }
}

/// 1, 2 or 5 times a power of ten, about `count` of which lie in the domain.
fn step([first, last]: [f64; 2], count: usize) -> f64 {
    let rough = (last - first).abs().max(f64::MIN_POSITIVE) / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        // 0.999: rounding must not push an exact fit to the next step.
        .find(|factor| factor * power >= rough * 0.999);
    factor.unwrap_or(10.0) * power
}

/// Multiples of a step that lie in the domain.
fn multiples([first, last]: [f64; 2], step: f64) -> Vec<Tick> {
    // 1e-9: a bound that is itself a multiple counts, whatever rounding makes of it.
    let (low, high) = ((first / step - 1e-9).ceil(), (last / step + 1e-9).floor());
    (0..=(high - low).clamp(0.0, 1000.0) as u32)
        .map(|i| Tick {
            value: (low + f64::from(i)) * step,
            step,
        })
        .collect()
}

/// Round values of a logarithmic axis: as many of each decade as make about `count` in all.
fn log_ticks([first, last]: [f64; 2], count: usize) -> Vec<Tick> {
    const OF_A_DECADE: [&[f64]; 5] = [
        &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
        &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 3.0],
        &[1.0],
    ];
    let powers = first.log10().floor() as i32..=last.log10().ceil() as i32;
    let ticks = |factors: &[f64]| -> Vec<Tick> {
        let all = powers.clone().flat_map(|power| {
            let power = 10f64.powi(power);
            factors.iter().map(move |factor| Tick {
                value: factor * power,
                // 1.5 and 2.5 have another digit.
                step: power * if factor.fract() == 0.0 { 1.0 } else { 0.1 },
            })
        });
        all.filter(|tick| (first * 0.999..=last * 1.001).contains(&tick.value))
            .collect()
    };
    let fitting = OF_A_DECADE.map(ticks).into_iter();
    let mut fitting = fitting.filter(|ticks| ticks.len() <= count + 1);
    fitting.next().unwrap_or_else(|| ticks(&[1.0]))
}

/// Round percentages of an axis of normal deviates, with those as far below 100.
fn percentage_ticks([first, last]: [f64; 2]) -> Vec<Tick> {
    let tick = |share: f64, value: f64| Tick {
        value,
        step: 10f64.powf(share.log10().floor()),
    };
    let shares = ROUND_PERCENTAGES.into_iter();
    let low = shares.clone().map(|share| tick(share, share));
    let high = shares.rev().map(|share| tick(share, 100.0 - share));
    // 0.999: an end that is itself round counts, whatever rounding makes of it.
    let is_inside =
        |tick: &Tick| tick.value >= 0.999 * first && 100.0 - tick.value >= 0.999 * (100.0 - last);
    low.chain(high).filter(is_inside).collect()
}

/// A value with as many digits as the step between two of them needs.
fn tick_label(value: f64, step: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if size == 0.0 => "0".into(),
        // 0.99: rounding must not turn the tick 0.0001 into 1e-4.
        _ if size < 0.99e-4 => format!("{value:.1e}").replace(".0e", "e"),
        _ if size >= 1e6 => format!("{} M", value / 1e6),
        _ if size >= 1e4 => format!("{} k", value / 1e3),
        _ => {
            let digits = (-step.log10() - 1e-9).ceil().clamp(0.0, 6.0) as usize;
            format!("{value:.digits$}")
        }
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, values: &[f64]) -> Vec<String> {
        let scale = axis.scale(values.iter().copied(), [0.0, 100.0], 5);
        scale.ticks().into_iter().map(|tick| tick.1).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_the_data() {
        let axis = Axis::new("loss");
        assert_eq!(
            labels(&axis, &[0.13, 0.62]),
            ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]
        );
        let over = Axis::new("share (%)").over(0.0, 100.0);
        assert_eq!(labels(&over, &[]), ["0", "20", "40", "60", "80", "100"]);
        let below = labels(&axis, &[-3.0, 4.0]);
        assert_eq!(below.first().map(String::as_str), Some("−4"));
        assert_eq!(
            labels(&axis, &[0.0, 1e-3]),
            ["0", "0.0002", "0.0004", "0.0006", "0.0008", "0.0010"]
        );
        assert_eq!(
            labels(&axis, &[0.0, 4e5]).last().map(String::as_str),
            Some("400 k")
        );
    }

    #[test]
    fn epochs_are_whole() {
        let axis = Axis::new("epoch").scaled(Scaling::Whole);
        assert_eq!(labels(&axis, &[1.0, 2.0, 3.0]), ["1", "2", "3"]);
        assert_eq!(labels(&axis, &[1.0]), ["0", "1", "2"]);
        assert_eq!(labels(&axis, &[1.0, 10.0]), ["2", "4", "6", "8", "10"]);
    }

    #[test]
    fn a_logarithmic_axis_has_powers_of_ten() {
        let axis = Axis::new("learning rate").scaled(Scaling::Log);
        assert_eq!(
            labels(&axis, &[1e-5, 1e-3, 1.0]),
            ["1e−5", "0.0001", "0.001", "0.01", "0.1", "1"]
        );
        assert_eq!(
            labels(&axis, &[150.0, 2e6]),
            ["1000", "10 k", "100 k", "1 M"]
        );
        let scale = axis.scale([0.01, 1.0].into_iter(), [0.0, 100.0], 5);
        assert!((scale.position(0.1) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn an_axis_of_normal_deviates_stretches_small_and_large_shares() {
        let axis = Axis::new("false acceptance (%)").scaled(Scaling::NormalDeviate);
        let over = axis.clone().over(0.2, 60.0);
        assert_eq!(
            labels(&over, &[]),
            ["0.2", "0.5", "1", "2", "5", "10", "20", "40", "60"]
        );
        let ends = labels(&axis.clone().over(95.0, 99.9), &[]);
        assert_eq!(ends, ["95", "98", "99", "99.5", "99.8", "99.9"]);
        let scale = axis
            .clone()
            .over(1.0, 99.0)
            .scale([].into_iter(), [0.0, 100.0], 5);
        assert!((scale.position(50.0) - 50.0).abs() < 1e-9);
        // Deviates of −1.2816 and −2.3263.
        assert!((scale.position(10.0) - 22.455).abs() < 1e-3);
        assert_eq!((scale.position(0.0), scale.position(100.0)), (0.0, 100.0));
        // Shares that have no deviate do not decide the domain.
        let ends = labels(&axis, &[0.0, 2.0, 30.0, 100.0]);
        assert_eq!(ends, ["2", "5", "10", "20"]);
    }

    #[test]
    fn less_than_a_decade_has_round_values_too() {
        let axis = Axis::new("latency (ms)").scaled(Scaling::Log);
        assert_eq!(labels(&axis, &[26.2, 52.4]), ["30", "40", "50"]);
        assert_eq!(labels(&axis, &[1.2, 2.6]), ["1.5", "2", "2.5"]);
        assert_eq!(
            labels(&axis, &[26.1, 26.4]),
            ["26.1", "26.2", "26.3", "26.4"]
        );
        assert_eq!(labels(&axis, &[1.2e-5, 2.1e-5]), ["1.5e−5", "2e−5"]);
    }

    #[test]
    fn nothing_lies_on_the_edge_of_an_axis_around_its_values() {
        for values in [
            vec![91.0, 97.0],
            vec![],
            vec![0.0],
            vec![f64::NAN],
            vec![5.0, 5.0],
        ] {
            for scaling in [Scaling::Linear, Scaling::Log] {
                let axis = Axis::new("x")
                    .scaled(scaling)
                    .around(values.iter().copied());
                let scale = axis.scale([].into_iter(), [0.0, 100.0], 5);
                let is_inside = |value: &&f64| (1.0..=99.0).contains(&scale.position(**value));
                let usable = |value: &&f64| value.is_finite() && **value > 0.0;
                let usable: Vec<&f64> = values.iter().filter(usable).collect();
                assert!(usable.iter().all(is_inside), "{values:?} {scaling:?}");
                assert!(
                    (2..=7).contains(&scale.ticks().len()),
                    "{values:?} {scaling:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_and_one_value_are_drawn_too() {
        for values in [&[][..], &[0.0], &[5.0], &[-2.0], &[f64::NAN, f64::INFINITY]] {
            for scaling in [
                Scaling::Linear,
                Scaling::Whole,
                Scaling::Log,
                Scaling::NormalDeviate,
            ] {
                let axis = Axis::new("x").scaled(scaling);
                let scale = axis.scale(values.iter().copied(), [10.0, 90.0], 5);
                let ticks = scale.ticks();
                assert!(
                    (1..20).contains(&ticks.len()),
                    "{values:?} {scaling:?}: {ticks:?}"
                );
                assert!(ticks.iter().all(|tick| (10.0..=90.0).contains(&tick.0)));
            }
        }
        let top_down = Axis::new("y").scale([0.0, 1.0].into_iter(), [90.0, 10.0], 4);
        assert_eq!(
            (
                top_down.position(0.0),
                top_down.position(1.0),
                top_down.position(7.0)
            ),
            (90.0, 10.0, 10.0)
        );
    }
}
