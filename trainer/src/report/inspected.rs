//! What the network looks at: the pictures that `trainer inspect` left.

use std::path::{Component, Path};

use console::{numbers, page};
use fs_err as fs;
use maud::{Markup, html};

use super::pictures;
use super::record::Record;
use crate::inspect::album::{Entry, Kind};

/// Files up to this size go into the page as they are; larger ones as JPEG where that is smaller.
const MOST_BYTES: usize = 50_000;
/// The longer side of a JPEG.
const SIDE: u32 = 1100;
/// The same of feature maps, of which there are as many as layers: all of ResNet18's have a place.
const SIDE_OF_MAPS: u32 = 384;
/// Bytes of all pictures in the page.
const BUDGET: usize = 1_500_000;

/// The pictures; none where nothing was inspected.
pub(super) fn section(record: &Record) -> Option<Markup> {
    let entries = ordered(&record.inspection.as_ref()?.images);
    let folder = record.run.path().join(data::run_files::INSPECT);
    let mut left = BUDGET;
    let mut shown: Vec<(&Entry, String)> = vec![];
    let mut more = record.inspection.as_ref()?.images.len() - entries.len();
    for (place, entry) in entries.iter().enumerate() {
        let Some(address) = picture(&folder, entry) else {
            continue;
        };
        let Some(rest) = left.checked_sub(address.len()) else {
            more += entries.len() - place;
            break;
        };
        left = rest;
        shown.push((entry, address));
    }
    if shown.is_empty() {
        return None;
    }
    let (wide, maps): (Vec<_>, Vec<_>) = shown
        .iter()
        .partition(|(entry, _)| matches!(entry.kind, Kind::Kernels | Kind::FeatureMap));
    let figure = |(entry, address): &(&Entry, String)| {
        html! {
            figure {
                h3 { (entry.title) }
                img.wide src=(address) alt=(entry.title);
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
        @if more > 0 {
            p.small { (numbers::count(more, "more picture is", "more pictures are")) " in " code { "inspect/" } "." }
        }
    };
    let lead = "From the exported file, with its intermediate values.";
    Some(page::section("inspect", "What it looks at", lead, &body))
}

/// What says most comes first; of the feature maps, those of the first picture alone.
fn ordered(images: &[Entry]) -> Vec<&Entry> {
    let folder = |entry: &Entry| Path::new(&entry.file).parent().map(Path::to_path_buf);
    let is_map = |entry: &&Entry| entry.kind == Kind::FeatureMap;
    let first = images.iter().find(is_map).map(folder);
    let mut chosen: Vec<&Entry> = images
        .iter()
        .filter(|entry| !is_map(entry) || Some(folder(entry)) == first)
        .collect();
    chosen.sort_by_key(|entry| match entry.kind {
        Kind::ActivationMap => 0,
        Kind::Occlusion => 1,
        Kind::Input => 2,
        Kind::Kernels => 3,
        Kind::FeatureMap => 4,
    });
    chosen
}

/// A file of the folder, as the text of an address; never one outside.
fn picture(folder: &Path, entry: &Entry) -> Option<String> {
    let inside = Path::new(&entry.file)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let bytes = fs::read(inside.then(|| folder.join(&entry.file))?).ok()?;
    let png = bytes
        .starts_with(b"\x89PNG")
        .then(|| pictures::address("image/png", &bytes));
    if bytes.len() <= MOST_BYTES && png.is_some() {
        return png;
    }
    let side = match entry.kind {
        Kind::FeatureMap => SIDE_OF_MAPS,
        _ => SIDE,
    };
    let picture = data::decode::decode(&bytes, &data::Limits::default()).ok()?;
    let jpeg = pictures::jpeg(&pictures::within(&picture, side));
    // Maps of few places, drawn large, are smaller as they are.
    png.into_iter().chain(jpeg).min_by_key(String::len)
}

#[cfg(test)]
mod tests {
    use data::RgbImage;

    use super::*;

    fn entry(file: &str, kind: Kind) -> Entry {
        Entry {
            title: file.into(),
            file: file.into(),
            kind,
            node: None,
        }
    }

    #[test]
    fn what_says_most_is_first_and_feature_maps_are_of_one_picture() {
        let images = [
            entry("kernels/colour.png", Kind::Kernels),
            entry("input-a.png", Kind::Input),
            entry("overlay-a.png", Kind::ActivationMap),
            entry("feature_maps/a/layer_1.png", Kind::FeatureMap),
            entry("feature_maps/a/layer_2.png", Kind::FeatureMap),
            entry("input-b.png", Kind::Input),
            entry("overlay-b.png", Kind::ActivationMap),
            entry("occlusion-b.png", Kind::Occlusion),
            entry("feature_maps/b/layer_1.png", Kind::FeatureMap),
        ];
        let files: Vec<&str> = ordered(&images).iter().map(|e| e.file.as_str()).collect();
        assert_eq!(
            files,
            [
                "overlay-a.png",
                "overlay-b.png",
                "occlusion-b.png",
                "input-a.png",
                "input-b.png",
                "kernels/colour.png",
                "feature_maps/a/layer_1.png",
                "feature_maps/a/layer_2.png",
            ]
        );
    }

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
        let kind = |file: &str| {
            let text = picture(&inspect, &entry(file, Kind::Kernels));
            text.map(|text| text[..15].to_owned())
        };
        assert_eq!(kind("small.png").as_deref(), Some("data:image/png;"));
        assert_eq!(kind("large.png").as_deref(), Some("data:image/jpeg"));
        assert_eq!(kind("../outside.png"), None);
        assert_eq!(kind("missing.png"), None);
    }
}
