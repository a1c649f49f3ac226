//! Text form of preprocessing steps, and the rules that steps must keep.

use super::geometry::check_pixels;
use super::{Color, Dtype, Filter, Order, Preprocess, Step, fixed_size, resize};
use crate::{Error, Kind, Result};
use std::fmt;
use std::str::FromStr;

pub(super) const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
pub(super) const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
/// OpenAI's CLIP.
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// Alpha beside the numbers of a data set of opaque images: opaque becomes 0, as the padding of a convolution, and
/// transparent -2, about what black becomes.
const ALPHA_MEAN: f32 = 1.0;
const ALPHA_STD: f32 = 0.5;

const EXAMPLE: &str = "for example `decode(rgb, exif)|resize_short(256, bilinear, antialias)|\
     center_crop(224)|scale(1/255)|normalize(imagenet)|layout(nchw, f32)`";

/// The error of one step.
fn bad_step(step: impl fmt::Display, reason: &str) -> Error {
    Error::Invalid {
        kind: Kind::Argument,
        message: format!("preprocessing step `{step}`: {reason}"),
        hint: Some(EXAMPLE),
    }
}

/// The error of steps that do not fit together.
pub(super) fn bad_steps(reason: &str) -> Error {
    Error::Invalid {
        kind: Kind::Argument,
        message: format!("preprocessing: {reason}"),
        hint: Some(EXAMPLE),
    }
}

impl FromStr for Preprocess {
    type Err = Error;

    /// Reads the text form. `decode(rgb, exif)` and `layout(nchw, f32)` may be left out;
    /// `normalize(imagenet)`, `normalize(half)` and `normalize(clip)` stand for their numbers.
    fn from_str(text: &str) -> Result<Self> {
        let mut calls = Vec::new();
        for part in text.split('|') {
            calls.push(Call::parse(part.trim())?);
        }
        let mut color = Color::Rgb;
        let mut steps = Vec::new();
        for call in &calls {
            let step = call.step(color)?;
            if let Step::Decode { color: chosen, .. } = step {
                color = chosen;
            }
            steps.push(step);
        }
        if !matches!(steps.first(), Some(Step::Decode { .. })) {
            steps.insert(
                0,
                Step::Decode {
                    color: Color::Rgb,
                    exif: true,
                },
            );
        }
        if !matches!(steps.last(), Some(Step::Layout { .. })) {
            steps.push(Step::Layout {
                order: Order::Nchw,
                dtype: Dtype::F32,
            });
        }
        Self::new(steps)
    }
}

impl fmt::Display for Preprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str("|")?;
            }
            step.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let antialiased = |antialias: bool| if antialias { ", antialias" } else { "" };
        let sides = |height: u32, width: u32| match height == width {
            true => height.to_string(),
            false => format!("{height}, {width}"),
        };
        match self {
            Self::Decode { color, exif } => {
                write!(
                    f,
                    "decode({}{})",
                    name(&COLORS, color),
                    if *exif { ", exif" } else { "" }
                )
            }
            Self::ResizeShort {
                size,
                filter,
                antialias,
            }
            | Self::ResizeLong {
                size,
                filter,
                antialias,
            } => {
                let step = match self {
                    Self::ResizeShort { .. } => "resize_short",
                    _ => "resize_long",
                };
                let (filter, antialias) = (name(&FILTERS, filter), antialiased(*antialias));
                write!(f, "{step}({size}, {filter}{antialias})")
            }
            Self::Resize {
                height,
                width,
                filter,
                antialias,
            } => {
                let filter = name(&FILTERS, filter);
                write!(
                    f,
                    "resize({height}, {width}, {filter}{})",
                    antialiased(*antialias)
                )
            }
            Self::CenterCrop {
                height,
                width,
                floor,
            } => {
                let floor = if *floor { ", floor" } else { "" };
                write!(f, "center_crop({}{floor})", sides(*height, *width))
            }
            Self::Pad {
                height,
                width,
                fill,
            } => {
                write!(f, "pad({}", sides(*height, *width))?;
                if fill.iter().any(|&value| value > 0) {
                    write!(f, ", fill={fill:?}")?;
                }
                f.write_str(")")
            }
            // `1/255` rather than 0.00392156862745098, where the number is exactly that.
            Self::Scale { factor } => match (1..=65_535).find(|&n| 1.0 / f64::from(n) == *factor) {
                Some(n) if n > 1 => write!(f, "scale(1/{n})"),
                _ => write!(f, "scale({factor:?})"),
            },
            Self::Normalize { mean, std } => write!(f, "normalize(mean={mean:?}, std={std:?})"),
            Self::Layout { order, dtype } => {
                write!(
                    f,
                    "layout({}, {})",
                    name(&ORDERS, order),
                    name(&DTYPES, dtype)
                )
            }
        }
    }
}

const COLORS: [(&str, Color); 4] = [
    ("rgb", Color::Rgb),
    ("bgr", Color::Bgr),
    ("gray", Color::Gray),
    ("rgba", Color::Rgba),
];
const FILTERS: [(&str, Filter); 4] = [
    ("nearest", Filter::Nearest),
    ("bilinear", Filter::Bilinear),
    ("bicubic", Filter::Bicubic),
    ("lanczos", Filter::Lanczos),
];
const ORDERS: [(&str, Order); 2] = [("nchw", Order::Nchw), ("nhwc", Order::Nhwc)];
const DTYPES: [(&str, Dtype); 3] = [("f32", Dtype::F32), ("f16", Dtype::F16), ("u8", Dtype::U8)];

fn name<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names
        .iter()
        .find(|(_, known)| known == value)
        .map(|(name, _)| *name)
        .expect("the tables of names are complete")
}

/// One step as text: `name(argument, argument, ...)`.
struct Call<'a> {
    text: &'a str,
    name: &'a str,
    arguments: Vec<&'a str>,
}

impl<'a> Call<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let wrong = |reason: &str| bad_step(text, reason);
        if text.is_empty() {
            return Err(wrong("nothing is written here"));
        }
        // A bare name is a call without arguments.
        let (name, rest) = text.split_once('(').unwrap_or((text, ")"));
        let inside = rest
            .trim_end()
            .strip_suffix(')')
            .ok_or_else(|| wrong("`)` is missing"))?;
        let mut arguments = Vec::new();
        let (mut depth, mut start) = (0_i32, 0);
        for (index, character) in inside.char_indices() {
            match character {
                '[' => depth += 1,
                ']' => depth -= 1,
                '(' | ')' => return Err(wrong("a bracket too many")),
                // Commas inside `[...]` separate the numbers of one argument.
                ',' if depth == 0 => {
                    arguments.push(inside[start..index].trim());
                    start = index + 1;
                }
                _ => {}
            }
        }
        if depth != 0 {
            return Err(wrong("`[` and `]` do not match"));
        }
        if !inside.trim().is_empty() {
            arguments.push(inside[start..].trim());
        }
        Ok(Self {
            text,
            name: name.trim(),
            arguments,
        })
    }

    fn wrong(&self, reason: impl AsRef<str>) -> Error {
        bad_step(self.text, reason.as_ref())
    }

    fn step(&self, color: Color) -> Result<Step> {
        let arguments = self.arguments.as_slice();
        match (self.name, arguments) {
            ("decode", [color]) => Ok(Step::Decode {
                color: self.lookup(&COLORS, color)?,
                exif: false,
            }),
            ("decode", [color, "exif"]) => Ok(Step::Decode {
                color: self.lookup(&COLORS, color)?,
                exif: true,
            }),
            ("resize_short", [size, options @ ..]) => {
                let (filter, antialias) = self.filter_options(options)?;
                Ok(Step::ResizeShort {
                    size: self.side(size)?,
                    filter,
                    antialias,
                })
            }
            ("resize_long", [size, options @ ..]) => {
                let (filter, antialias) = self.filter_options(options)?;
                Ok(Step::ResizeLong {
                    size: self.side(size)?,
                    filter,
                    antialias,
                })
            }
            ("resize", [height, width, options @ ..]) => {
                let (filter, antialias) = self.filter_options(options)?;
                let (height, width) = (self.side(height)?, self.side(width)?);
                Ok(Step::Resize {
                    height,
                    width,
                    filter,
                    antialias,
                })
            }
            ("center_crop", [sides @ .., "floor"]) if !sides.is_empty() => {
                self.center_crop(sides, true)
            }
            ("center_crop", [_] | [_, _]) => self.center_crop(arguments, false),
            ("pad", [sides @ .., fill]) if !sides.is_empty() && fill.starts_with("fill") => {
                let expected = "a number from 0 to 255";
                let fill = self.numbers("fill", fill, color.channels(), expected)?;
                self.pad(sides, fill)
            }
            ("pad", [_] | [_, _]) => self.pad(arguments, vec![0; color.channels()]),
            ("scale", [factor]) => Ok(Step::Scale {
                factor: self.number(factor)?,
            }),
            ("normalize", ["imagenet"]) => Ok(Step::Normalize {
                mean: with_alpha(color, IMAGENET_MEAN, ALPHA_MEAN),
                std: with_alpha(color, IMAGENET_STD, ALPHA_STD),
            }),
            ("normalize", ["half"]) => Ok(Step::Normalize {
                mean: vec![0.5; color.channels()],
                std: vec![0.5; color.channels()],
            }),
            ("normalize", ["clip"]) => Ok(Step::Normalize {
                mean: with_alpha(color, CLIP_MEAN, ALPHA_MEAN),
                std: with_alpha(color, CLIP_STD, ALPHA_STD),
            }),
            ("normalize", [mean, std]) => {
                let numbers = |key, text| self.numbers(key, text, color.channels(), "a number");
                let (mean, std) = (numbers("mean", mean)?, numbers("std", std)?);
                Ok(Step::Normalize { mean, std })
            }
            ("layout", [order, dtype]) => {
                let (order, dtype) = (self.lookup(&ORDERS, order)?, self.lookup(&DTYPES, dtype)?);
                Ok(Step::Layout { order, dtype })
            }
            (name, _) => Err(
                self.wrong(match SYNTAX.iter().find(|entry| entry.0 == name) {
                    Some((_, syntax)) => format!("expected `{syntax}`"),
                    None => {
                        let known = SYNTAX.map(|(name, _)| name).join(", ");
                        format!("no such step (known: {known})")
                    }
                }),
            ),
        }
    }

    /// The value of a name.
    fn lookup<T: Copy>(&self, names: &[(&'static str, T)], text: &str) -> Result<T> {
        names
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
                self.wrong(format!("`{text}` is not one of {}", known.join(", ")))
            })
    }

    /// Filter and antialias; by default bilinear with antialias.
    fn filter_options(&self, words: &[&str]) -> Result<(Filter, bool)> {
        match words {
            [] => Ok((Filter::Bilinear, true)),
            [filter] => Ok((self.lookup(&FILTERS, filter)?, false)),
            [filter, "antialias"] => Ok((self.lookup(&FILTERS, filter)?, true)),
            _ => Err(self.wrong("expected a filter, then `antialias` or nothing")),
        }
    }

    fn center_crop(&self, sides: &[&str], floor: bool) -> Result<Step> {
        let (height, width) = self.sides(sides)?;
        Ok(Step::CenterCrop {
            height,
            width,
            floor,
        })
    }

    fn pad(&self, sides: &[&str], fill: Vec<u8>) -> Result<Step> {
        let (height, width) = self.sides(sides)?;
        Ok(Step::Pad {
            height,
            width,
            fill,
        })
    }

    /// `SIZE`, or `HEIGHT, WIDTH`.
    fn sides(&self, words: &[&str]) -> Result<(u32, u32)> {
        match words {
            [size] => self.side(size).map(|size| (size, size)),
            [height, width] => Ok((self.side(height)?, self.side(width)?)),
            _ => Err(self.wrong("expected a size, or a height and a width")),
        }
    }

    fn side(&self, text: &str) -> Result<u32> {
        text.parse()
            .map_err(|_| self.wrong(format!("`{text}` is not a number of pixels")))
    }

    /// A decimal number or a fraction such as `1/255`.
    fn number(&self, text: &str) -> Result<f64> {
        let wrong = || self.wrong(format!("`{text}` is not a number"));
        let parse = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong());
        match text.split_once('/') {
            Some((over, under)) => Ok(parse(over)? / parse(under)?),
            None => parse(text),
        }
    }

    /// `key=[a, b, c]`, or `key=a` for every channel; each is `expected`.
    fn numbers<T: FromStr + Clone>(
        &self,
        key: &str,
        text: &str,
        channels: usize,
        expected: &str,
    ) -> Result<Vec<T>> {
        let value = text
            .strip_prefix(key)
            .and_then(|rest| rest.trim_start().strip_prefix('='))
            .ok_or_else(|| self.wrong(format!("expected `{key}=[...]`, found `{text}`")))?
            .trim();
        let single = |text: &str| {
            let text = text.trim();
            text.parse::<T>()
                .map_err(|_| self.wrong(format!("`{text}` is not {expected}")))
        };
        match value
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(list) => list.split(',').map(single).collect(),
            None => Ok(vec![single(value)?; channels]),
        }
    }
}

/// The numbers of red, green and blue, and behind them that of alpha, where the channels have it.
fn with_alpha(color: Color, rgb: [f32; 3], alpha: f32) -> Vec<f32> {
    let alpha = color.has_alpha().then_some(alpha);
    rgb.into_iter().chain(alpha).collect()
}

/// Name and syntax of every step.
const SYNTAX: [(&str, &str); 9] = [
    ("decode", "decode(rgb|bgr|gray|rgba, exif)"),
    ("resize_short", "resize_short(SIZE, bilinear, antialias)"),
    ("resize_long", "resize_long(SIZE, bilinear, antialias)"),
    ("resize", "resize(HEIGHT, WIDTH, bilinear, antialias)"),
    (
        "center_crop",
        "center_crop(SIZE)` or `center_crop(HEIGHT, WIDTH)",
    ),
    ("pad", "pad(SIZE)` or `pad(HEIGHT, WIDTH, fill=[...])"),
    ("scale", "scale(1/255)"),
    (
        "normalize",
        "normalize(mean=[...], std=[...])` or `normalize(imagenet|half|clip)",
    ),
    ("layout", "layout(nchw|nhwc, f32|f16|u8)"),
];

/// Checks the rules of steps, whether they come from text, JSON or code.
pub(super) fn check(steps: &[Step]) -> Result<()> {
    // Stage of the previous step: 0 decode, 1 geometry, 2 arithmetic, 3 layout.
    let mut stage = 0;
    let mut color = Color::Rgb;
    for (index, step) in steps.iter().enumerate() {
        let bad = |reason: &str| Err(bad_step(step, reason));
        let own_stage = match step {
            Step::Decode { .. } => 0,
            Step::ResizeShort { .. }
            | Step::ResizeLong { .. }
            | Step::Resize { .. }
            | Step::CenterCrop { .. }
            | Step::Pad { .. } => 1,
            Step::Scale { .. } | Step::Normalize { .. } => 2,
            Step::Layout { .. } => 3,
        };
        // `decode` exactly at the front, and nothing after `layout`.
        if own_stage < stage || (own_stage == 0) != (index == 0) || stage == 3 {
            return bad(
                "out of order: one decode, then resizes, crops and pads, then scale and normalize, then one layout",
            );
        }
        stage = own_stage;
        let sides = match *step {
            // The other side depends on the image.
            Step::ResizeShort { size, .. } | Step::ResizeLong { size, .. } => [size, 1],
            Step::Resize { height, width, .. }
            | Step::CenterCrop { height, width, .. }
            | Step::Pad { height, width, .. } => [height, width],
            _ => [1, 1],
        };
        if sides
            .iter()
            .any(|side| !(1..=resize::MAX_SIDE).contains(side))
        {
            return bad("a side is between 1 and 65536 pixels");
        }
        if sides.map(u64::from).iter().product::<u64>() > resize::MAX_PIXELS {
            return bad("an image of more than 8192 x 8192 pixels");
        }
        match step {
            Step::Decode { exif: false, .. } => {
                return bad("EXIF orientation is always applied here: write `exif`");
            }
            Step::Decode { color: chosen, .. } => color = *chosen,
            Step::Pad { fill, .. } if fill.len() != color.channels() => {
                let channels = color.channels();
                return bad(&format!(
                    "fill needs one number for each of {channels} channels"
                ));
            }
            Step::Scale { factor } if !factor.is_finite() || *factor == 0.0 => {
                return bad("the factor must be finite and not zero");
            }
            Step::Normalize { mean, std } => {
                let channels = color.channels();
                if mean.len() != channels || std.len() != channels {
                    return bad(&format!(
                        "mean and std need one number for each of {channels} channels"
                    ));
                }
                if mean.iter().chain(std).any(|v| !v.is_finite()) || std.contains(&0.0) {
                    return bad("mean and std must be finite, and std not zero");
                }
            }
            _ => {}
        }
    }
    if stage != 3 {
        return Err(bad_steps("the last step must be `layout`"));
    }
    check_size(steps)
}

/// Refuses steps whose result has no size, depends on the image or does not fit into memory.
fn check_size(steps: &[Step]) -> Result<()> {
    if let Some((width, height)) = fixed_size(steps) {
        return check_pixels((width, height));
    }
    let geometry = steps.iter().rev().find_map(|step| match step {
        Step::ResizeShort { .. } => Some("`center_crop` must follow `resize_short`"),
        Step::ResizeLong { .. } => Some("`pad` to that size must follow `resize_long`"),
        Step::Pad { .. } => Some("`center_crop` must follow `pad`"),
        _ => None,
    });
    Err(bad_steps(&match geometry {
        None => "no step fixes the size: add `resize` or `center_crop`".into(),
        Some(next) => format!("the size depends on the image: {next}"),
    }))
}

impl TryFrom<Vec<Step>> for Preprocess {
    type Error = Error;

    fn try_from(steps: Vec<Step>) -> Result<Self> {
        Self::new(steps)
    }
}

impl From<Preprocess> for Vec<Step> {
    fn from(preprocess: Preprocess) -> Self {
        preprocess.steps
    }
}
