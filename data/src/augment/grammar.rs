//! Text form of augmentations: `crop(0.08..1, 3/4..4/3)|hflip(0.5)`.

use super::{Augment, Op, USAGE, crop};
use crate::Error;
use std::fmt;
use std::str::FromStr;

/// The operations' names, as typed.
const NAMES: &str = "crop, hflip, vflip, rotate, color, noise, scale, elastic, cutout";

impl FromStr for Augment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if matches!(text.trim(), "" | "none") {
            return Ok(Augment { ops: Vec::new() });
        }
        let ops = text.split('|').map(|op| {
            let op = op.trim();
            let bad = |reason| Error::with_hint(format!("augmentation `{op}`: {reason}"), USAGE);
            parse(op).map_err(bad)
        });
        Ok(Augment {
            ops: ops.collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<String> for Augment {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Augment> for String {
    fn from(augment: Augment) -> String {
        augment.to_string()
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ops.is_empty() {
            return f.write_str("none");
        }
        for (i, op) in self.ops.iter().enumerate() {
            if i > 0 {
                f.write_str("|")?;
            }
            op.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = number_text;
        let range = |(low, high): (f64, f64)| format!("{}..{}", n(low), n(high));
        match *self {
            Op::Crop { scale, ratio } => write!(f, "crop({}, {})", range(scale), range(ratio)),
            Op::HFlip(p) => write!(f, "hflip({})", n(p)),
            Op::VFlip(p) => write!(f, "vflip({})", n(p)),
            Op::Rotate(degrees) => write!(f, "rotate({})", n(degrees)),
            Op::Color {
                brightness,
                contrast,
                saturation,
                hue,
            } => {
                let [b, c, s, h] = [brightness, contrast, saturation, hue].map(n);
                write!(f, "color({b}, {c}, {s}, {h})")
            }
            Op::Noise(sigma) => write!(f, "noise({})", n(sigma)),
            Op::Scale(low, high) => write!(f, "scale({})", range((low, high))),
            Op::Elastic { alpha, sigma } => write!(f, "elastic({}, {})", n(alpha), n(sigma)),
            Op::Cutout { holes, size } => write!(f, "cutout({holes}, {})", n(size)),
        }
    }
}

/// The shortest text that reads back to the same number; `3/4` and `4/3` as fractions.
fn number_text(value: f64) -> String {
    let plain = value.to_string();
    // Written as its partner 4/3, which has no short decimal text.
    if value == 0.75 {
        return "3/4".into();
    }
    let fraction = (2..=9u32)
        .map(|below| (value * f64::from(below)).round())
        .zip(2..=9u32)
        .find(|(above, below)| above / f64::from(*below) == value);
    match fraction {
        Some((above, below)) if plain.len() > 8 => format!("{above}/{below}"),
        _ => plain,
    }
}

/// The arguments of one operation, read from the left.
struct Arguments<'a> {
    rest: std::vec::IntoIter<&'a str>,
}

/// Reads `text` as one operation; the error is the reason.
fn parse(text: &str) -> Result<Op, String> {
    let (name, inside) = match text.split_once('(') {
        None => (text, ""),
        Some((name, rest)) => {
            let inside = rest.strip_suffix(')').ok_or("the closing `)` is missing")?;
            (name.trim_end(), inside)
        }
    };
    let list: Vec<&str> = match inside.trim() {
        "" => Vec::new(),
        inside => inside.split(',').map(str::trim).collect(),
    };
    let mut args = Arguments {
        rest: list.into_iter(),
    };
    let share = (0.0, 1.0);
    let op = match name {
        "crop" => Op::Crop {
            scale: args.range("share", crop::SCALE, (1e-6, 1.0))?,
            ratio: args.range("ratio", crop::RATIO, (0.01, 100.0))?,
        },
        "hflip" => Op::HFlip(args.number("probability", 0.5, share)?),
        "vflip" => Op::VFlip(args.number("probability", 0.5, share)?),
        "rotate" => Op::Rotate(args.number("degrees", 15.0, (0.0, 180.0))?),
        "color" => Op::Color {
            brightness: args.number("brightness", 0.4, (0.0, 10.0))?,
            contrast: args.number("contrast", 0.4, (0.0, 10.0))?,
            saturation: args.number("saturation", 0.4, (0.0, 10.0))?,
            hue: args.number("hue", 0.1, (0.0, 0.5))?,
        },
        "noise" => Op::Noise(args.number("deviation", 0.05, share)?),
        "scale" => {
            let (low, high) = args.range("factor", (0.8, 1.2), (0.05, 20.0))?;
            Op::Scale(low, high)
        }
        "elastic" => Op::Elastic {
            alpha: args.number("displacement", 50.0, (0.0, 1000.0))?,
            sigma: args.number("smoothness", 5.0, (0.0, 50.0))?,
        },
        "cutout" => {
            let holes = args.number("number of squares", 1.0, (0.0, 64.0))?;
            if holes.fract() != 0.0 {
                return Err(format!("the number of squares must be whole, not {holes}"));
            }
            Op::Cutout {
                holes: holes as u32,
                size: args.number("side", 0.25, share)?,
            }
        }
        _ => return Err(format!("there is no such operation; there are {NAMES}")),
    };
    match args.rest.next() {
        Some(extra) => Err(format!("`{extra}` is one argument too many")),
        None => Ok(op),
    }
}

impl Arguments<'_> {
    fn number(&mut self, what: &str, default: f64, bounds: (f64, f64)) -> Result<f64, String> {
        self.rest
            .next()
            .map_or(Ok(default), |text| number(what, text, bounds))
    }

    /// `low..high`, or one number for both.
    fn range(
        &mut self,
        what: &str,
        default: (f64, f64),
        bounds: (f64, f64),
    ) -> Result<(f64, f64), String> {
        let Some(text) = self.rest.next() else {
            return Ok(default);
        };
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let range = (number(what, low, bounds)?, number(what, high, bounds)?);
        if range.0 > range.1 {
            return Err(format!("{what} `{text}` runs backwards"));
        }
        Ok(range)
    }
}

/// A number or a fraction such as `4/3`, within bounds.
fn number(what: &str, text: &str, (low, high): (f64, f64)) -> Result<f64, String> {
    let text = text.trim();
    let parts = match text.split_once('/') {
        Some((above, below)) => above
            .trim()
            .parse::<f64>()
            .ok()
            .zip(below.trim().parse::<f64>().ok()),
        None => text.parse().ok().map(|value| (value, 1.0)),
    };
    let value = parts.map(|(above, below)| above / below);
    match value {
        Some(value) if (low..=high).contains(&value) => Ok(value),
        Some(_) => Err(format!("{what} `{text}` is not from {low} to {high}")),
        None => Err(format!("{what} `{text}` is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Augment, Op};
    use proptest::prelude::*;

    #[test]
    fn text_means_what_it_says() {
        let cases: [(&str, Vec<Op>); 5] = [
            ("none", vec![]),
            (" hflip ", vec![Op::HFlip(0.5)]),
            (
                "crop(0.08..1, 0.75..1.3333)|vflip(0.1)",
                vec![
                    Op::Crop {
                        scale: (0.08, 1.0),
                        ratio: (0.75, 1.3333),
                    },
                    Op::VFlip(0.1),
                ],
            ),
            ("scale(1.5)", vec![Op::Scale(1.5, 1.5)]),
            (
                "cutout(3, 1/8)",
                vec![Op::Cutout {
                    holes: 3,
                    size: 0.125,
                }],
            ),
        ];
        for (text, ops) in cases {
            assert_eq!(text.parse::<Augment>().unwrap().ops, ops, "{text}");
        }
        assert_eq!(
            Augment::default().to_string(),
            "crop(0.08..1, 3/4..4/3)|hflip(0.5)"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            (
                "hflip|spin(3)",
                "`spin(3)`: there is no such operation; there are crop, hflip",
            ),
            ("hflip(2)", "`hflip(2)`: probability `2` is not from 0 to 1"),
            ("hflip(x)", "`hflip(x)`: probability `x` is not a number"),
            ("rotate(5", "`rotate(5`: the closing `)` is missing"),
            (
                "noise(0.1, 3)",
                "`noise(0.1, 3)`: `3` is one argument too many",
            ),
            (
                "crop(1..0.5)",
                "`crop(1..0.5)`: share `1..0.5` runs backwards",
            ),
            ("color(0, 0, 0, 0.6)", "hue `0.6` is not from 0 to 0.5"),
            ("cutout(1.5)", "must be whole, not 1.5"),
            ("scale(nan)", "factor `nan` is not from 0.05 to 20"),
            ("hflip||vflip", "there is no such operation"),
        ] {
            let error = text.parse::<Augment>().unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            assert!(error.hint().unwrap().contains("cutout(1, 0.25)"), "{text}");
        }
    }

    fn op() -> impl Strategy<Value = Op> {
        let share = 0.0..=1.0;
        let pair = |low: f64, high: f64| {
            (low..=high, low..=high).prop_map(|(a, b): (f64, f64)| (a.min(b), a.max(b)))
        };
        prop_oneof![
            (pair(0.01, 1.0), pair(0.1, 9.0)).prop_map(|(scale, ratio)| Op::Crop { scale, ratio }),
            share.clone().prop_map(Op::HFlip),
            share.clone().prop_map(Op::VFlip),
            (0.0..=180.0).prop_map(Op::Rotate),
            (share.clone(), share.clone(), share.clone(), 0.0..=0.5).prop_map(
                |(brightness, contrast, saturation, hue)| Op::Color {
                    brightness,
                    contrast,
                    saturation,
                    hue
                }
            ),
            share.clone().prop_map(Op::Noise),
            pair(0.1, 4.0).prop_map(|(low, high)| Op::Scale(low, high)),
            (0.0..=99.0, 0.0..=9.0).prop_map(|(alpha, sigma)| Op::Elastic { alpha, sigma }),
            (0u32..9, share).prop_map(|(holes, size)| Op::Cutout { holes, size }),
        ]
    }

    proptest! {
        #[test]
        fn text_and_json_round_trip(ops in prop::collection::vec(op(), 0..6)) {
            let augment = Augment { ops };
            prop_assert_eq!(&augment.to_string().parse::<Augment>().unwrap(), &augment);
            let json = serde_json::to_string(&augment).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Augment>(&json).unwrap(), &augment);
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Augment>();
        }
    }
}
