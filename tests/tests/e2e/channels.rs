//! Images of four channels, and backbones whose first layer takes another number of channels.

use image::{Rgba, RgbaImage};
use tests::{Workshop, pictures, tiny_models};

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

/// The input of a run's model, and the colours of its card.
fn input_of(shop: &Workshop, run: &str) -> (String, String) {
    let path = shop.path(format!("runs/{run}/model.onnx"));
    let input = onnx::Document::open(&path).unwrap().inputs()[0].to_string();
    let card = shop.deploy(&format!("card show runs/{run}/model.onnx"));
    let steps = card.run().ok().json()["preprocess"].to_string();
    (input, steps)
}

#[test]
fn a_backbone_for_rgb_takes_grey_images_and_images_with_alpha() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    draw_rgba(&shop);
    let fit = |run: &str, flags: &str| {
        let done = shop
            .trainer(&format!("fit --backbone tiny.onnx --name {run} {flags}"))
            .run()
            .ok();
        assert!(
            done.err
                .contains("first convolution is changed from 3 channels to"),
            "{}",
            done.err
        );
        assert_eq!(
            shop.json(&format!("runs/{run}/verify.json"))["verified"],
            true
        );
        same_on_both_sides(&shop, run)
    };
    for tuned in ["", "--fine-tune --epochs 1 --keep tuned"] {
        let run = if tuned.is_empty() { "frozen" } else { "tuned" };
        fit(
            &format!("grey-{run}"),
            &format!("--data pictures --channels 1 {tuned}"),
        );
        let (input, steps) = input_of(&shop, &format!("grey-{run}"));
        assert!(input.starts_with("image: Float [batch, 1, "), "{input}");
        assert!(steps.contains("gray"), "{steps}");

        let accuracy = fit(
            &format!("rgba-{run}"),
            &format!("--data rgba --channels 4 {tuned}"),
        );
        assert!(accuracy > 0.9, "{run}: {accuracy}");
        let (input, steps) = input_of(&shop, &format!("rgba-{run}"));
        assert!(input.starts_with("image: Float [batch, 4, "), "{input}");
        assert!(steps.contains("rgba"), "{steps}");
    }
    // The grey file is a backbone of its own, and no colours can be made of its one kernel.
    let grey = "fit --backbone runs/grey-frozen/model.onnx --data pictures --channels";
    shop.trainer(&format!("{grey} 1 --name again -q"))
        .run()
        .ok();
    let refusal = shop.trainer(&format!("{grey} 4 -q")).run().refusal();
    assert!(
        refusal.contains(
            "`model.onnx` is for grey images: a network for RGB images alone can be given 1 or 4 channels"
        ),
        "{refusal}"
    );
    let typed = "--channels 1 --preprocess center_crop(64) -q";
    let refusal = shop
        .trainer(&format!("fit --backbone tiny.onnx --data pictures {typed}"))
        .run()
        .refusal();
    assert!(
        refusal.contains("ends in [3, 64, 64], `tiny.onnx` takes [1, "),
        "{refusal}"
    );
}
