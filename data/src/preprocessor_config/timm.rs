//! `config.json` of timm: `pretrained_cfg` in an object of its own, or flat.
//!
//! Read from the sources of timm 1.0.31: `resolve_data_config`, `transforms_imagenet_eval` and `_parse_model_cfg`.

use super::fields::{Fields, divided};
use crate::Result;

/// The share of the resized image that the crop keeps, where a file says none.
const CROP_PCT: f64 = 0.875;

/// Whether an object describes timm's preprocessing.
pub(super) fn is_own(fields: &Fields<'_>) -> bool {
    let is_flat =
        || ["input_size", "crop_pct", "interpolation"].map(|key| fields.get(key).is_some());
    fields.object("pretrained_cfg").is_some()
        || fields.text("architecture").is_some() && is_flat().contains(&true)
}

/// The object that the settings are in.
pub(super) fn config<'a>(fields: &Fields<'a>) -> Fields<'a> {
    fields.object("pretrained_cfg").unwrap_or(Fields {
        path: fields.path,
        map: fields.map,
    })
}

/// The steps of timm's transform for evaluation. `size` is height and width of the model's input.
pub(super) fn steps(fields: &Fields<'_>, size: Option<(usize, usize)>) -> Result<Vec<String>> {
    let config = &config(fields);
    let (channels, height, width, crop_pct) = input(fields, config, size)?;
    let color = match channels {
        1 => "gray",
        3 => "rgb",
        _ => return Err(config.refuse("input_size", "is for an image of neither 1 nor 3 channels")),
    };
    let filter = match config.text("interpolation") {
        None => "bicubic",
        Some(filter @ ("nearest" | "bilinear" | "bicubic" | "lanczos")) => filter,
        Some(_) => {
            let reason = "is neither nearest, bilinear, bicubic nor lanczos";
            return Err(config.refuse("interpolation", reason));
        }
    };
    let [high, wide] = [height, width].map(|side| divided(side, crop_pct));
    let crop = format!("center_crop({height}, {width})");
    let geometry = match config.text("crop_mode").unwrap_or("center") {
        "squash" => vec![format!("resize({high}, {wide}, {filter}, antialias)"), crop],
        "center" if height == width => {
            vec![format!("resize_short({high}, {filter}, antialias)"), crop]
        }
        "border" if height == width => vec![
            format!("resize_long({high}, {filter}, antialias)"),
            format!("pad({height}, fill={:?})", fill(config)?),
            crop,
        ],
        "center" | "border" => {
            let reason = "is not square: only `crop_mode` squash does that here";
            return Err(config.refuse("input_size", reason));
        }
        _ => return Err(config.refuse("crop_mode", "is neither center, squash nor border")),
    };
    let normalize = match (config.numbers("mean")?, config.numbers("std")?) {
        (None, None) => "normalize(imagenet)".into(),
        (Some(mean), Some(std)) => format!("normalize(mean={mean}, std={std})"),
        (None, _) => return Err(config.refuse("mean", "is missing beside `std`")),
        (_, None) => return Err(config.refuse("std", "is missing beside `mean`")),
    };
    let mut steps = vec![format!("decode({color}, exif)")];
    steps.extend(geometry);
    steps.extend(["scale(1/255)".into(), normalize]);
    Ok(steps)
}

/// Channels, height and width of the input, and the share of the resized image that the crop keeps.
fn input(
    fields: &Fields<'_>,
    config: &Fields<'_>,
    size: Option<(usize, usize)>,
) -> Result<(u32, u32, u32, f64)> {
    let dims = |key| match config.counts(key)?.as_deref() {
        None => Ok(None),
        Some(&[channels, height, width]) => Ok(Some((channels, height, width))),
        Some(_) => Err(config.wrong(key, "[channels, height, width]")),
    };
    let (mut channels, mut height, mut width) = dims("input_size")?.unwrap_or((3, 224, 224));
    let mut crop_pct = config.number("crop_pct")?;
    // The settings that the network was built with come before those of the weights it started from.
    if let Some(arguments) = fields.object("model_args") {
        if let Some(&[count]) = arguments.counts("in_chans")?.as_deref() {
            channels = count;
        }
        if config.flag("fixed_input_size", false)? {
            match arguments.counts("img_size")?.as_deref() {
                Some(&[side]) => (height, width) = (side, side),
                Some(&[high, wide]) => (height, width) = (high, wide),
                _ => {}
            }
        }
    }
    let is_input = |height: u32, width: u32| size == Some((height as usize, width as usize));
    if !is_input(height, width)
        && let Some((_, high, wide)) = dims("test_input_size")?
        && is_input(high, wide)
    {
        (height, width) = (high, wide);
        crop_pct = config.number("test_crop_pct")?.or(crop_pct);
    }
    // Python's `or`: a zero is no share.
    let crop_pct = crop_pct.filter(|&share| share > 0.0).unwrap_or(CROP_PCT);
    Ok((channels, height, width, crop_pct))
}

/// The colour of a border: the mean, in whole numbers.
fn fill(config: &Fields<'_>) -> Result<Vec<u8>> {
    let mean = config.get("mean").and_then(|mean| mean.as_array());
    let mean =
        mean.ok_or_else(|| config.refuse("mean", "is missing: the border has its colour"))?;
    let mean = mean.iter().filter_map(|mean| mean.as_f64());
    Ok(mean
        .map(|mean| (255.0 * mean).round_ties_even() as u8)
        .collect())
}
