//! Pictures of the data inside the page: small, upright, as JPEG in the page's own text.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data::{Limits, RgbImage};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use maud::{Markup, html};
use rayon::prelude::*;

/// The longer side of a thumbnail: 150 to 180 units of a page, and a little for fine screens.
const SIDE: u32 = 224;
/// Of 100. Bees stay bees, and a thumbnail takes about 8 kB.
const QUALITY: u8 = 78;

/// Where pictures are.
#[derive(Clone, Debug)]
pub struct Pictures {
    root: Option<PathBuf>,
}

/// A picture and the words below it.
pub(super) struct Card {
    /// Relative to the data root.
    pub(super) path: String,
    /// What there is to say.
    pub(super) caption: String,
}

impl Pictures {
    /// Pictures below the root of a data set; none where it is gone.
    pub fn new(root: Option<PathBuf>) -> Pictures {
        Pictures { root }
    }

    /// Where a picture of the data set is.
    pub(super) fn locate(&self, relative: &str) -> Option<PathBuf> {
        Some(self.root.as_ref()?.join(relative)).filter(|path| path.is_file())
    }

    /// Cards side by side.
    pub(super) fn cards(&self, cards: &[Card]) -> Markup {
        let thumbnails: Vec<Option<String>> = cards
            .par_iter()
            .map(|card| thumbnail(&self.locate(&card.path)?))
            .collect();
        html! {
            div.cards {
                @for (card, thumbnail) in cards.iter().zip(thumbnails) {
                    figure {
                        @match thumbnail {
                            Some(address) => img src=(address) alt=(card.caption);,
                            None => div.none { "not found" },
                        }
                        figcaption { (card.caption) span.path { (card.path) } }
                    }
                }
            }
        }
    }
}

/// A small upright copy of a picture file as the text of an address.
fn thumbnail(path: &Path) -> Option<String> {
    let picture = data::decode::open(path, &Limits::default()).ok()?;
    jpeg(&within(&picture, SIDE))
}

/// The picture made so small that neither side is longer than `side`.
pub(super) fn within(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let scale = f64::from(side) / f64::from(width.max(height).max(1));
    if scale >= 1.0 {
        return picture.clone();
    }
    let part = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    // First by whole averages, which is fast, then with a filter, which is sharp.
    let rough = imageops::thumbnail(
        picture,
        (2 * part(width)).min(width),
        (2 * part(height)).min(height),
    );
    imageops::resize(&rough, part(width), part(height), FilterType::CatmullRom)
}

/// A picture as the text of an address.
pub(super) fn jpeg(picture: &RgbImage) -> Option<String> {
    let mut bytes = vec![];
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    picture.write_with_encoder(encoder).ok()?;
    Some(address("image/jpeg", &bytes))
}

/// Bytes as the text of an address.
pub(super) fn address(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbnail_keeps_its_shape_and_small_pictures_stay() {
        let large = RgbImage::from_pixel(1000, 500, image::Rgb([200, 10, 10]));
        let small = within(&large, 100);
        assert_eq!(small.dimensions(), (100, 50));
        assert_eq!(small.get_pixel(50, 25).0, [200, 10, 10]);
        assert_eq!(within(&small, 224).dimensions(), (100, 50));
        let line = RgbImage::new(3000, 1);
        assert_eq!(within(&line, 100).dimensions(), (100, 1));
    }

    #[test]
    fn what_is_not_found_is_said() {
        let card = |path: &str| Card {
            path: path.into(),
            caption: "bees taken for ants, 99.0 %".into(),
        };
        let folder = tempfile::tempdir().unwrap();
        RgbImage::new(30, 20)
            .save(folder.path().join("there.png"))
            .unwrap();
        let pictures = Pictures::new(Some(folder.path().to_path_buf()));
        let html = pictures
            .cards(&[card("there.png"), card("gone.png")])
            .into_string();
        assert_eq!(html.matches("data:image/jpeg;base64,").count(), 1);
        assert_eq!(html.matches("not found").count(), 1);
        let html = Pictures::new(None)
            .cards(&[card("there.png")])
            .into_string();
        assert!(html.contains("not found"), "{html}");
    }
}
