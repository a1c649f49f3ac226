//! Section "What it looks at": the images that `trainer inspect` drew.

use std::path::{Component, Path};

use console::{numbers, page};
use fs_err as fs;
use maud::{Markup, html};

use crate::run_contents::RunContents;
use crate::run_files::{InspectImage, InspectKind};
use crate::thumbnails;

/// Files up to this size go into the page as they are; larger ones as JPEG where that is smaller.
const MOST_BYTES: usize = 50_000;
/// The longer side of a JPEG.
const SIDE: u32 = 1100;
/// The same of feature maps, one per layer: all 20 of ResNet18 fit into the budget.
const SIDE_OF_MAPS: u32 = 384;
/// Bytes of all images in the page.
const BUDGET: usize = 1_500_000;

/// None where nothing was inspected.
pub(crate) fn section(run: &RunContents) -> Option<Markup> {
    let entries = ordered(&run.inspection.as_ref()?.images);
    let folder = run.folder.join(data::run_files::INSPECT);
    let mut left = BUDGET;
    let mut shown: Vec<(&InspectImage, String)> = vec![];
    let mut more = run.inspection.as_ref()?.images.len() - entries.len();
    for (index, entry) in entries.iter().enumerate() {
        let Some(address) = embed(&folder, entry) else {
            continue;
        };
        // The most telling images come first: the first that does not fit ends the list.
        let Some(rest) = left.checked_sub(address.len()) else {
            more += entries.len() - index;
            break;
        };
        left = rest;
        shown.push((entry, address));
    }
    if shown.is_empty() {
        return None;
    }
    let (wide, maps): (Vec<_>, Vec<_>) = shown.iter().partition(|(entry, _)| {
        matches!(entry.kind, InspectKind::Kernels | InspectKind::FeatureMap)
    });
    let figure = |(entry, address): &(&InspectImage, String)| {
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
            p.small { (numbers::count(more, "more image is", "more images are")) " in " code { "inspect/" } "." }
        }
    };
    let lead = match run.verifier {
        Some(_) => "From the exported file.",
        None => "From the exported file, with its intermediate values.",
    };
    Some(page::section("inspect", "What it looks at", lead, &body))
}

/// Activation maps come first; the feature maps are those of the first image alone.
fn ordered(images: &[InspectImage]) -> Vec<&InspectImage> {
    let folder = |entry: &InspectImage| Path::new(&entry.file).parent().map(Path::to_path_buf);
    let is_map = |entry: &&InspectImage| entry.kind == InspectKind::FeatureMap;
    let first = images.iter().find(is_map).map(folder);
    let mut chosen: Vec<&InspectImage> = images
        .iter()
        .filter(|entry| !is_map(entry) || Some(folder(entry)) == first)
        .collect();
    chosen.sort_by_key(|entry| match entry.kind {
        InspectKind::ActivationMap => 0,
        InspectKind::Occlusion => 1,
        InspectKind::Input => 2,
        InspectKind::Kernels => 3,
        InspectKind::FeatureMap => 4,
    });
    chosen
}

/// A file of the folder as a `data:` URL; never one outside.
fn embed(folder: &Path, entry: &InspectImage) -> Option<String> {
    // The list is a file that anybody may have edited.
    let inside = Path::new(&entry.file)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let bytes = fs::read(inside.then(|| folder.join(&entry.file))?).ok()?;
    let png = bytes
        .starts_with(b"\x89PNG")
        .then(|| thumbnails::data_url("image/png", &bytes));
    if bytes.len() <= MOST_BYTES && png.is_some() {
        return png;
    }
    let side = match entry.kind {
        InspectKind::FeatureMap => SIDE_OF_MAPS,
        _ => SIDE,
    };
    let image = data::decode::decode(&bytes, &data::Limits::default()).ok()?;
    let jpeg = thumbnails::jpeg(&thumbnails::shrink(&image, side));
    // An enlarged map of 7 x 7 values is a smaller file as PNG than as JPEG.
    png.into_iter().chain(jpeg).min_by_key(String::len)
}

#[cfg(test)]
mod tests {
    use data::RgbImage;

    use super::*;

    fn entry(file: &str, kind: InspectKind) -> InspectImage {
        InspectImage {
            title: file.into(),
            file: file.into(),
            kind,
            node: None,
        }
    }

    #[test]
    fn what_says_most_is_first_and_feature_maps_are_of_one_image() {
        let images = [
            entry("kernels/colour.png", InspectKind::Kernels),
            entry("input-a.png", InspectKind::Input),
            entry("overlay-a.png", InspectKind::ActivationMap),
            entry("feature_maps/a/layer_1.png", InspectKind::FeatureMap),
            entry("feature_maps/a/layer_2.png", InspectKind::FeatureMap),
            entry("input-b.png", InspectKind::Input),
            entry("overlay-b.png", InspectKind::ActivationMap),
            entry("occlusion-b.png", InspectKind::Occlusion),
            entry("feature_maps/b/layer_1.png", InspectKind::FeatureMap),
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
            let text = embed(&inspect, &entry(file, InspectKind::Kernels));
            text.map(|text| text[..15].to_owned())
        };
        assert_eq!(kind("small.png").as_deref(), Some("data:image/png;"));
        assert_eq!(kind("large.png").as_deref(), Some("data:image/jpeg"));
        assert_eq!(kind("../outside.png"), None);
        assert_eq!(kind("missing.png"), None);
    }
}
