//! `preprocessor_config.json` of transformers' image processors, with the defaults of each class.
//!
//! Read from the sources of transformers 5.24; classes of networks that are no backbones of a classifier are unknown.

use super::fields::{Fields, divided};
use crate::Result;

/// Height and width, or the shorter side.
#[derive(Clone, Copy)]
enum Size {
    Exact(u32, u32),
    Shortest(u32),
}

/// An image processor and its defaults.
struct Processor {
    /// Its class without `ImageProcessor`.
    name: &'static str,
    size: Size,
    /// Whether a single number as `size` is height and width.
    square: bool,
    /// Height and width of the crop.
    crop: u32,
    do_crop: bool,
    filter: &'static str,
    /// Mean and standard deviation: a shorthand of `normalize`.
    normalize: &'static str,
}

/// A processor that resizes to a square without a crop.
const fn squash(
    name: &'static str,
    size: u32,
    filter: &'static str,
    normalize: &'static str,
) -> Processor {
    Processor {
        name,
        size: Size::Exact(size, size),
        square: true,
        crop: 224,
        do_crop: false,
        filter,
        normalize,
    }
}

/// A processor that resizes the shorter side and crops to 224.
const fn crop(
    name: &'static str,
    size: u32,
    filter: &'static str,
    normalize: &'static str,
) -> Processor {
    Processor {
        name,
        size: Size::Shortest(size),
        square: false,
        crop: 224,
        do_crop: true,
        filter,
        normalize,
    }
}

const PROCESSORS: [Processor; 15] = [
    squash("ViT", 224, "bilinear", "half"),
    Processor {
        square: false,
        ..squash("Siglip", 224, "bicubic", "half")
    },
    crop("CLIP", 224, "bicubic", "clip"),
    crop("Bit", 224, "bicubic", "clip"),
    Processor {
        do_crop: true,
        ..squash("DeiT", 256, "bicubic", "half")
    },
    squash("Beit", 224, "bicubic", "half"),
    squash("DINOv3ViT", 224, "bilinear", "imagenet"),
    crop("MobileNetV1", 256, "bilinear", "half"),
    crop("MobileNetV2", 256, "bilinear", "half"),
    Processor {
        do_crop: false,
        ..crop("ConvNext", 384, "bicubic", "half")
    },
    crop("Levit", 224, "bicubic", "imagenet"),
    Processor {
        crop: 289,
        ..squash("EfficientNet", 346, "bicubic", "half")
    },
    crop("PoolFormer", 224, "bicubic", "imagenet"),
    squash("Pvt", 224, "bicubic", "imagenet"),
    Processor {
        crop: 256,
        ..crop("MobileViT", 224, "bicubic", "half")
    },
];

/// Pillow's numbers of the filters.
const FILTERS: [&str; 4] = ["nearest", "lanczos", "bilinear", "bicubic"];

/// The key of the class, today's and that of old files.
const TYPES: [&str; 2] = ["image_processor_type", "feature_extractor_type"];

/// Whether an object is an image processor.
pub(super) fn is_own(fields: &Fields<'_>) -> bool {
    TYPES.iter().any(|key| fields.get(key).is_some()) || fields.get("image_mean").is_some()
}

/// The steps of an image processor.
pub(super) fn steps(fields: &Fields<'_>) -> Result<Vec<String>> {
    let processor = processor(fields)?;
    let mut steps = vec![decode(fields, processor)?];
    if fields.flag("do_resize", true)? {
        steps.extend(resize(fields, processor)?);
    }
    if fields.flag("do_center_crop", processor.do_crop)? {
        let (height, width) = match size(fields, "crop_size", true)? {
            None => (processor.crop, processor.crop),
            Some(Size::Exact(height, width)) => (height, width),
            Some(Size::Shortest(_)) => {
                return Err(fields.refuse("crop_size", "has no `height` and `width`"));
            }
        };
        steps.push(format!("center_crop({height}, {width}, floor)"));
    }
    if fields.flag("do_pad", false)? {
        return Err(fields.refuse("do_pad", "pads to the other images of a batch"));
    }
    if fields.flag("do_rescale", true)? {
        let factor = fields.number("rescale_factor")?.unwrap_or(1.0 / 255.0);
        steps.push(format!("scale({factor:?})"));
        if processor.name == "EfficientNet" && fields.flag("rescale_offset", false)? {
            steps.push("normalize(mean=1, std=1)".into());
        }
    }
    // MobileViT's ignores the field.
    if processor.name != "MobileViT" && fields.flag("do_normalize", true)? {
        steps.push(normalize(fields, processor)?);
    }
    if processor.name == "EfficientNet" && fields.flag("include_top", true)? {
        let std = fields.numbers("image_std")?.unwrap_or_else(|| "0.5".into());
        steps.push(format!("normalize(mean=0, std={std})"));
    }
    Ok(steps)
}

/// The processor by the name of its class, which may end in the name of its implementation.
fn processor(fields: &Fields<'_>) -> Result<&'static Processor> {
    let key = TYPES.iter().find(|key| fields.get(key).is_some());
    let Some(key) = key else {
        return Err(fields.refuse(TYPES[0], "is missing: it says what the other fields mean"));
    };
    let class = fields.text(key).unwrap_or_default();
    let name = ["Fast", "Pil", "ImageProcessor", "FeatureExtractor"]
        .iter()
        .fold(class, |name, end| name.strip_suffix(end).unwrap_or(name));
    PROCESSORS
        .iter()
        .find(|processor| processor.name == name)
        .ok_or_else(|| {
            let known = PROCESSORS
                .each_ref()
                .map(|processor| processor.name)
                .join(", ");
            fields.refuse(key, format!("is not known here (known: {known})"))
        })
}

fn decode(fields: &Fields<'_>, processor: &Processor) -> Result<String> {
    let is_flipped = processor.name == "MobileViT" && fields.flag("do_flip_channel_order", true)?;
    let mean = fields.get("image_mean").and_then(|mean| mean.as_array());
    let color = match mean.map(Vec::len) {
        Some(1) => "gray",
        _ if is_flipped => "bgr",
        _ => "rgb",
    };
    Ok(format!("decode({color}, exif)"))
}

fn resize(fields: &Fields<'_>, processor: &Processor) -> Result<Vec<String>> {
    let filter = match fields.counts("resample")? {
        None => processor.filter,
        Some(number) => number
            .first()
            .and_then(|&number| FILTERS.get(number as usize))
            .ok_or_else(|| fields.refuse("resample", "is neither 0, 1, 2 nor 3"))?,
    };
    let short = |size| format!("resize_short({size}, {filter}, antialias)");
    let exact = |height, width| format!("resize({height}, {width}, {filter}, antialias)");
    let crop_pct = fields.number("crop_pct")?;
    let size = size(fields, "size", processor.square)?.unwrap_or(processor.size);
    Ok(match (processor.name, size) {
        ("ConvNext", Size::Shortest(side)) if side < 384 => {
            let fraction = crop_pct.unwrap_or(224.0 / 256.0);
            vec![
                short(divided(side, fraction)),
                format!("center_crop({side}, floor)"),
            ]
        }
        ("ConvNext", Size::Shortest(side)) => vec![exact(side, side)],
        ("ConvNext", Size::Exact(..)) => {
            return Err(fields.refuse("size", "has no `shortest_edge`"));
        }
        ("Levit", Size::Shortest(side)) => {
            vec![short((256.0 / 224.0 * f64::from(side)) as u32)]
        }
        ("PoolFormer", Size::Shortest(side)) => vec![short(divided(side, crop_pct.unwrap_or(0.9)))],
        ("PoolFormer", Size::Exact(height, width)) => {
            let [high, wide] = [height, width].map(|side| divided(side, crop_pct.unwrap_or(0.9)));
            vec![match height == width {
                true => short(high),
                false => exact(high, wide),
            }]
        }
        (_, Size::Shortest(side)) => vec![short(side)],
        (_, Size::Exact(height, width)) => vec![exact(height, width)],
    })
}

/// A size as a number, as `[height, width]` or as an object.
fn size(fields: &Fields<'_>, key: &str, square: bool) -> Result<Option<Size>> {
    let Some(sides) = fields.object(key) else {
        return match fields.counts(key)?.as_deref() {
            None => Ok(None),
            Some(&[side]) if square => Ok(Some(Size::Exact(side, side))),
            Some(&[side]) => Ok(Some(Size::Shortest(side))),
            Some(&[height, width]) => Ok(Some(Size::Exact(height, width))),
            Some(_) => Err(fields.wrong(key, "a size")),
        };
    };
    let side = |name: &str| match sides.counts(name)?.as_deref() {
        None => Ok(None),
        Some(&[side]) => Ok(Some(side)),
        Some(_) => Err(sides.wrong(name, "a number of pixels")),
    };
    match (side("height")?, side("width")?, side("shortest_edge")?) {
        (Some(height), Some(width), None) => Ok(Some(Size::Exact(height, width))),
        (None, None, Some(side)) if sides.get("longest_edge").is_none() => {
            Ok(Some(Size::Shortest(side)))
        }
        _ => Err(fields.refuse(
            key,
            "is neither `height` and `width` nor `shortest_edge` alone",
        )),
    }
}

fn normalize(fields: &Fields<'_>, processor: &Processor) -> Result<String> {
    match (fields.numbers("image_mean")?, fields.numbers("image_std")?) {
        (None, None) => Ok(format!("normalize({})", processor.normalize)),
        (Some(mean), Some(std)) => Ok(format!("normalize(mean={mean}, std={std})")),
        (None, _) => Err(fields.refuse("image_mean", "is missing beside `image_std`")),
        (_, None) => Err(fields.refuse("image_std", "is missing beside `image_mean`")),
    }
}
