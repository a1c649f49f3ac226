//! Thumbnails of the data set's images inside a page: upright, as JPEG in `data:` URLs.

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

/// Makes thumbnails of the images of a data set.
#[derive(Clone, Debug)]
pub struct Thumbnails {
    root: Option<PathBuf>,
}

/// An image and its caption.
pub(crate) struct CaptionedImage {
    /// Relative to the data root.
    pub(crate) path: String,
    pub(crate) caption: String,
}

/// Two images side by side and their caption.
pub(crate) struct CaptionedPair {
    /// Relative to the data root.
    pub(crate) paths: [String; 2],
    pub(crate) caption: String,
}

impl Thumbnails {
    /// Thumbnails of images below the root of a data set; without a root, none is found.
    pub fn new(root: Option<PathBuf>) -> Thumbnails {
        Thumbnails { root }
    }

    /// The file of an image, if it is there.
    pub(crate) fn locate(&self, relative: &str) -> Option<PathBuf> {
        Some(self.root.as_ref()?.join(relative)).filter(|path| path.is_file())
    }

    /// Images side by side, each with its caption.
    pub(crate) fn gallery(&self, cards: &[CaptionedImage]) -> Markup {
        let thumbnails: Vec<Markup> = cards
            .par_iter()
            .map(|card| self.image(&card.path, &card.caption))
            .collect();
        html! {
            div.cards {
                @for (card, thumbnail) in cards.iter().zip(thumbnails) {
                    figure {
                        (thumbnail)
                        figcaption { (card.caption) span.path { (card.path) } }
                    }
                }
            }
        }
    }

    /// Pairs of images side by side, each with its caption.
    pub(crate) fn pairs(&self, cards: &[CaptionedPair]) -> Markup {
        let thumbnails: Vec<[Markup; 2]> = cards
            .par_iter()
            .map(|card| {
                let image = |path: &String| self.image(path, &card.caption);
                [image(&card.paths[0]), image(&card.paths[1])]
            })
            .collect();
        html! {
            div.cards.pairs {
                @for (card, [a, b]) in cards.iter().zip(thumbnails) {
                    figure {
                        div.pair { (a) (b) }
                        figcaption {
                            (card.caption)
                            @for path in &card.paths { span.path { (path) } }
                        }
                    }
                }
            }
        }
    }

    fn image(&self, relative: &str, alt: &str) -> Markup {
        let address = self.locate(relative).and_then(|path| thumbnail(&path));
        html! {
            @match address {
                Some(address) => img src=(address) alt=(alt);,
                None => div.none { "not found" },
            }
        }
    }
}

/// A small upright copy of an image file as a `data:` URL.
fn thumbnail(path: &Path) -> Option<String> {
    let image = data::decode::open(path, &Limits::default()).ok()?;
    jpeg(&shrink(&image, SIDE))
}

/// The image made so small that neither side is longer than `side`.
pub(crate) fn shrink(image: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let scale = f64::from(side) / f64::from(width.max(height).max(1));
    // A small image stays as it is: enlarged it would show nothing more.
    if scale >= 1.0 {
        return image.clone();
    }
    let part = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    // First by whole averages, which is fast, then with a filter, which is sharp.
    let rough = imageops::thumbnail(
        image,
        (2 * part(width)).min(width),
        (2 * part(height)).min(height),
    );
    imageops::resize(&rough, part(width), part(height), FilterType::CatmullRom)
}

/// An image as a `data:` URL.
pub(crate) fn jpeg(image: &RgbImage) -> Option<String> {
    let mut bytes = vec![];
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    image.write_with_encoder(encoder).ok()?;
    Some(data_url("image/jpeg", &bytes))
}

/// Bytes as a `data:` URL.
pub(crate) fn data_url(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbnail_keeps_its_shape_and_small_images_stay() {
        let large = RgbImage::from_pixel(1000, 500, image::Rgb([200, 10, 10]));
        let small = shrink(&large, 100);
        assert_eq!(small.dimensions(), (100, 50));
        assert_eq!(small.get_pixel(50, 25).0, [200, 10, 10]);
        assert_eq!(shrink(&small, 224).dimensions(), (100, 50));
        let line = RgbImage::new(3000, 1);
        assert_eq!(shrink(&line, 100).dimensions(), (100, 1));
    }

    #[test]
    fn a_missing_image_is_named() {
        let card = |path: &str| CaptionedImage {
            path: path.into(),
            caption: "bees predicted as ants, 99.0 %".into(),
        };
        let folder = tempfile::tempdir().unwrap();
        RgbImage::new(30, 20)
            .save(folder.path().join("there.png"))
            .unwrap();
        let thumbnails = Thumbnails::new(Some(folder.path().to_path_buf()));
        let html = thumbnails
            .gallery(&[card("there.png"), card("gone.png")])
            .into_string();
        assert_eq!(html.matches("data:image/jpeg;base64,").count(), 1);
        assert_eq!(html.matches("not found").count(), 1);
        let html = Thumbnails::new(None)
            .gallery(&[card("there.png")])
            .into_string();
        assert!(html.contains("not found"), "{html}");
        let pair = CaptionedPair {
            paths: ["there.png", "gone.png"].map(str::to_owned),
            caption: "two identities, probability 0.9".into(),
        };
        let html = thumbnails.pairs(&[pair]).into_string();
        for part in [
            "data:image/jpeg;base64,",
            "not found",
            ">there.png<",
            ">gone.png<",
        ] {
            assert_eq!(html.matches(part).count(), 1, "{part}: {html}");
        }
    }
}
