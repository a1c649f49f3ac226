//! What the network looks at: the pictures that `trainer inspect` left.

use std::path::{Component, Path};

use fs_err as fs;
use maud::{Markup, html};

use super::parts;
use super::pictures;
use super::record::Record;

/// Files up to this size go into the page as they are.
const MOST_BYTES: usize = 200_000;
/// Larger ones are made this small, and JPEG.
const SIDE: u32 = 1100;

/// The pictures; none where nothing was inspected.
pub(super) fn section(record: &Record) -> Option<Markup> {
    let inspection = record.inspection.as_ref()?;
    let folder = record.run.path().join("inspect");
    let shown: Vec<(&str, &str, String)> = inspection
        .images
        .iter()
        .filter_map(|image| {
            let address = picture(&folder, &image.file)?;
            Some((image.title.as_str(), image.kind.as_str(), address))
        })
        .collect();
    if shown.is_empty() {
        return None;
    }
    let (wide, maps): (Vec<_>, Vec<_>) = shown
        .iter()
        .partition(|image| matches!(image.1, "kernels" | "feature-map"));
    let figure = |(title, _, address): &(&str, &str, String)| {
        html! {
            figure {
                h3 { (title) }
                img.wide src=(address) alt=(title);
            }
        }
    };
    let body = html! {
        div.grid { @for image in maps { (figure(image)) } }
        @if !wide.is_empty() {
            details {
                summary { "Kernels and feature maps: " (wide.len()) }
                div.grid { @for image in wide { (figure(image)) } }
            }
        }
    };
    let lead = "From the exported file, with its intermediate values.";
    Some(parts::section("inspect", "What it looks at", lead, &body))
}

/// A file of the folder, as the text of an address; never one outside.
fn picture(folder: &Path, file: &str) -> Option<String> {
    let inside = Path::new(file)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let bytes = fs::read(inside.then(|| folder.join(file))?).ok()?;
    if bytes.len() <= MOST_BYTES && bytes.starts_with(b"\x89PNG") {
        return Some(pictures::address("image/png", &bytes));
    }
    let picture = data::decode::decode(&bytes, &data::Limits::default()).ok()?;
    pictures::jpeg(&pictures::within(&picture, SIDE))
}

#[cfg(test)]
mod tests {
    use data::RgbImage;

    use super::*;

    #[test]
    fn only_files_of_the_folder_are_shown_and_large_ones_are_made_small() {
        let folder = tempfile::tempdir().unwrap();
        let inspect = folder.path().join("inspect");
        fs::create_dir(&inspect).unwrap();
        RgbImage::new(9, 9).save(inspect.join("small.png")).unwrap();
        RgbImage::new(9, 9)
            .save(folder.path().join("outside.png"))
            .unwrap();
        let noise = RgbImage::from_fn(1500, 400, |x, y| {
            image::Rgb([x, y, x * y].map(|v| (v.wrapping_mul(2_654_435_761) >> 13) as u8))
        });
        noise.save(inspect.join("large.png")).unwrap();
        let kind = |file: &str| picture(&inspect, file).map(|text| text[..15].to_owned());
        assert_eq!(kind("small.png").as_deref(), Some("data:image/png;"));
        assert_eq!(kind("large.png").as_deref(), Some("data:image/jpeg"));
        assert_eq!(kind("../outside.png"), None);
        assert_eq!(kind("missing.png"), None);
    }
}
