//! Images of four channels, and backbones whose first layer takes another number of channels.

use image::{Rgba, RgbaImage};
use tests::{Workshop, pictures};

use crate::fit::same_on_both_sides;

/// `rgba/{train,val,test}/{faint,solid}/*`, PNG and WebP. The colours of both classes are the same: alpha alone tells
/// them apart.
fn draw_rgba(shop: &Workshop) {
    let mut first = 0;
    for (split, count) in pictures::SPLITS {
        for (class, least) in [("faint", 20), ("solid", 180)] {
            for i in first..first + count {
                let colours = pictures::draw("discs", i);
                let (width, height) = colours.dimensions();
                let image = RgbaImage::from_fn(width, height, |x, y| {
                    let [r, g, b] = colours.get_pixel(x, y).0;
                    Rgba([r, g, b, least + ((x * 7 + y * 3 + i) % 50) as u8])
                });
                let kind = if i % 2 == 0 { "png" } else { "webp" };
                let path = shop.write(&format!("rgba/{split}/{class}/{i:02}.{kind}"), "");
                image.save(path).unwrap();
            }
        }
        first += count;
    }
}

#[test]
fn classes_that_differ_in_alpha_alone_are_told_apart_by_four_channels() {
    let shop = Workshop::empty();
    draw_rgba(&shop);
    let fit = |run: &str, flags: &str| {
        let settings =
            "--data rgba --size 32 --width 4 --cells 1 --epochs 12 --batch 8 --lr 1e-2 -q";
        shop.trainer(&format!("fit {settings} --name {run} {flags}"))
            .run()
            .ok();
        shop.json(&format!("runs/{run}/summary.json"))["accuracy"].as_f64()
    };
    let augment = "--augment crop(0.5..1)|hflip|rotate(15)|color|noise(0.02)";
    assert_eq!(fit("rgba", &format!("--channels 4 {augment}")), Some(1.0));
    // The same pixels in both classes: one of each two is right.
    assert_eq!(fit("rgb", "--channels 3"), Some(0.5));

    assert_eq!(same_on_both_sides(&shop, "rgba"), 1.0);
    let verify = shop.json("runs/rgba/verify.json");
    assert_eq!(verify["verified"], true, "{verify}");
    let path = shop.path("runs/rgba/model.onnx");
    let document = onnx::Document::open(&path).unwrap();
    let input = document.inputs()[0].to_string();
    assert_eq!(input, "input: Float [batch, 4, 32, 32]");
    let card = shop
        .deploy("card show runs/rgba/model.onnx")
        .run()
        .ok()
        .json();
    let preprocess = card["preprocess"].to_string();
    assert!(preprocess.contains("rgba"), "{preprocess}");
    shop.deploy("check runs/rgba/model.onnx").run().ok();

    // A file given alone has the answer that the trainer counted, in every precision.
    let convert = "convert runs/rgba/model.onnx --precision int8 --data rgba --out int8.onnx";
    shop.deploy(convert).patience(600).run().ok();
    for model in ["runs/rgba/model.onnx", "int8.onnx"] {
        for class in ["faint", "solid"] {
            let image = format!("rgba/test/{class}/15.webp");
            let predict = format!("predict --model {model} --format jsonl -q {image}");
            let answer = shop.deploy(&predict).run().ok().json();
            assert_eq!(answer["label"], class, "{model} {answer}");
        }
    }
    let inspect = "inspect runs/rgba/model.onnx --image rgba/test/faint/14.png --occlusion";
    shop.trainer(&format!("{inspect} --out looked")).run().ok();
    assert!(shop.path("looked/kernels/channel_alpha.png").is_file());
}
