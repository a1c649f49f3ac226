//! Draws small pictures of two classes; none is square.

use std::path::Path;

use fs_err as fs;
use image::{Rgb, RgbImage};

/// The classes, in order.
pub const CLASSES: [&str; 2] = ["discs", "squares"];
/// The splits and how many pictures each class has in them.
pub const SPLITS: [(&str, u32); 3] = [("train", 10), ("val", 4), ("test", 6)];

/// `folder/{train,val,test}/{discs,squares}/*`, JPEG and PNG, no picture twice.
pub fn draw_splits(folder: &Path) {
    let mut first = 0;
    for (split, count) in SPLITS {
        draw_some(&folder.join(split), first, count);
        first += count;
    }
}

/// `folder/{discs,squares}/*`, `count` of each.
pub fn draw_classes(folder: &Path, count: u32) {
    draw_some(folder, 0, count);
}

/// The pictures from `first` on; their names count from 0.
fn draw_some(folder: &Path, first: u32, count: u32) {
    for class in CLASSES {
        fs::create_dir_all(folder.join(class)).unwrap();
        for i in 0..count {
            let kind = if i % 2 == 0 { "jpg" } else { "png" };
            let path = folder.join(class).join(format!("{i:02}.{kind}"));
            draw(class, first + i).save(&path).unwrap();
        }
    }
}

/// A yellow disc or a blue square on grey, of a size and place that vary with `i`.
pub fn draw(class: &str, i: u32) -> RgbImage {
    let (width, height) = (72 + 5 * (i % 7), 50 + 3 * (i % 5));
    let (x0, y0) = (20 + 4 * (i % 6), 18 + 3 * (i % 4));
    let radius = 9 + i % 5;
    RgbImage::from_fn(width, height, |x, y| {
        let grain = ((x * 31 + y * 17 + i * 13) % 23) as u8;
        let (dx, dy) = (x.abs_diff(x0), y.abs_diff(y0));
        let disc = dx * dx + dy * dy <= radius * radius;
        match class {
            "discs" if disc => Rgb([220 - grain, 190, 40 + grain]),
            "squares" if dx.max(dy) <= radius => Rgb([40, 60 + grain, 220 - grain]),
            _ => Rgb([110 + grain; 3]),
        }
    })
}
