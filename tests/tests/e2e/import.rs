//! `trainer import`: from a checkpoint to a backbone that a fit uses.

use fs_err as fs;
use tests::Workshop;
use tests::checkpoint_file::{Tensor, legacy};

/// timm's file beside a checkpoint.
const CONFIG: &str = r#"{"architecture": "vit_tiny_patch16_224.x", "num_classes": 5, "global_pool": "token",
    "pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 0.8, "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5], "license": "apache-2.0", "hf_hub_id": "timm/vit_x"}}"#;

/// A vision transformer of one block, whose weights are waves.
fn vision_transformer() -> Vec<Tensor> {
    let mut tensors = vec![];
    let mut add = |name: &str, shape: &[usize]| {
        let count: usize = shape.iter().product();
        let pace = 0.3 + tensors.len() as f32 / 10.0;
        let is_scale = name.contains("norm") && name.ends_with("weight");
        let (offset, size) = if is_scale { (1.0, 0.1) } else { (0.0, 0.2) };
        tensors.push(Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: (0..count)
                .map(|index| offset + size * (index as f32 * pace).sin())
                .collect(),
        });
    };
    add("cls_token", &[1, 1, 64]);
    add("pos_embed", &[1, 17, 64]);
    add("patch_embed.proj.weight", &[64, 3, 8, 8]);
    add("patch_embed.proj.bias", &[64]);
    for (name, outputs, inputs) in [
        ("blocks.0.attn.qkv", 192, 64),
        ("blocks.0.attn.proj", 64, 64),
        ("blocks.0.mlp.fc1", 32, 64),
        ("blocks.0.mlp.fc2", 64, 32),
        ("head", 5, 64),
    ] {
        add(&format!("{name}.weight"), &[outputs, inputs]);
        add(&format!("{name}.bias"), &[outputs]);
    }
    for norm in ["blocks.0.norm1", "blocks.0.norm2", "norm"] {
        add(&format!("{norm}.weight"), &[64]);
        add(&format!("{norm}.bias"), &[64]);
    }
    tensors
}

fn shop() -> Workshop {
    let shop = Workshop::new();
    shop.write("net/model.pth", legacy(&vision_transformer()));
    shop.write("net/config.json", CONFIG);
    shop
}

#[test]
fn a_checkpoint_becomes_a_backbone_that_knows_its_preprocessing() {
    let shop = shop();
    let done = shop.trainer("import net/model.pth").run().ok();
    insta::assert_snapshot!(done.out.trim_end(), @r"
    file           net/model.onnx (0.1 MB)
    architecture   vit_tiny_patch16_224
    images         [3, 32, 32]
    features       64, the input of its fully connected layer
    last layer     5 outputs
    preprocessing  decode(rgb, exif)|resize_short(40, bicubic, antialias)|center_crop(32)|scale(1/255)|normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])|layout(nchw, f32) (config.json)
    licence        apache-2.0
    ");
    let next = "next: trainer fit --data DIR --backbone net/model.onnx";
    assert!(done.err.contains(next), "{}", done.err);
    // What it knows is in the file itself.
    fs::rename(shop.path("net/model.onnx"), shop.path("net.onnx")).unwrap();
    let fit = shop.fit("--name a --backbone net.onnx").run().ok();
    let known = "preprocessing (metadata of net.onnx): decode(rgb, exif)|resize_short(40, bicubic, antialias)|center_crop(32)";
    assert!(fit.err.contains(known), "{}", fit.err);
    assert_eq!(shop.json("runs/a/verify.json")["verified"], true);
    let card = shop.deploy("card show runs/a/model.onnx").run().ok().json();
    let provenance = &card["provenance"];
    assert_eq!(provenance["backbone_licence"], "apache-2.0");
    assert_eq!(provenance["backbone_source"], "timm/vit_x");
}

#[test]
fn the_file_goes_through_a_link() {
    let shop = shop();
    shop.write("real.onnx", "old");
    std::os::unix::fs::symlink("real.onnx", shop.path("link.onnx")).unwrap();
    shop.trainer("import net/model.pth --out link.onnx")
        .run()
        .ok();
    assert!(
        fs::symlink_metadata(shop.path("link.onnx"))
            .unwrap()
            .is_symlink()
    );
    assert!(fs::metadata(shop.path("real.onnx")).unwrap().len() > 1000);
}

#[test]
fn another_size_crops_the_same_share() {
    let shop = shop();
    let done = shop
        .trainer("import net/model.pth --size 48 --out large.onnx")
        .run()
        .ok();
    for line in [
        "images         [3, 48, 48]",
        "|resize_short(60, bicubic, antialias)|center_crop(48)|",
    ] {
        assert!(done.out.contains(line), "{}", done.out);
    }
    let fit = shop.fit("--name a --backbone large.onnx").run().ok();
    assert!(fit.err.contains("center_crop(48)"), "{}", fit.err);
}

#[test]
fn what_cannot_be_imported_leaves_nothing_behind() {
    let shop = shop();
    let refusal = |command: &str| shop.trainer(command).run().refusal();
    insta::assert_snapshot!(refusal("import -q net/model.pth --out -"), @r"
    error: `--out -` is standard output

    hint: give another file with `--out`: it is run before it gets its name
    ");
    insta::assert_snapshot!(refusal("import -q net/model.pth --out net/model.pth"), @r"
    error: `--out net/model.pth` is the checkpoint itself

    hint: give another file with `--out`: it is run before it gets its name
    ");
    insta::assert_snapshot!(refusal("import -q net.onnx"), @r"
    error: `net.onnx` is an ONNX file already

    hint: start from it: trainer fit --backbone net.onnx
    ");
    insta::assert_snapshot!(refusal("import -q net/none.pth"), @"error: cannot read `net/none.pth`: No such file or directory (os error 2)");
    insta::assert_snapshot!(refusal("import -q net/model.pth --size 45"), @r"
    error: `net/model.pth`: images of 45 pixels have no whole patches of 8

    hint: take `--size 40` or `--size 48`
    ");
    insta::assert_snapshot!(refusal("import -q net/config.json --architecture vit_x"), @r"
    error: `net/config.json` cannot be read as a PyTorch checkpoint: 0x7b is no opcode of a pickle

    hint: give the weights alone, as `torch.save(model.state_dict(), FILE)` writes them
    ");
    // Numbers that are not finite show when the file is run.
    let mut tensors = vision_transformer();
    tensors[2].values[7] = f32::NAN;
    shop.write("net/model.pth", legacy(&tensors));
    let text = refusal("import -q net/model.pth");
    assert!(
        text.contains("its features are not finite numbers"),
        "{text}"
    );
    let mut left: Vec<_> = fs::read_dir(shop.path("net"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["config.json", "model.pth"]);
}

#[test]
fn a_checkpoint_given_as_a_backbone_gets_the_command_that_imports_it() {
    let shop = shop();
    let refused = shop.fit("-q --backbone net/model.pth").run().refusal();
    insta::assert_snapshot!(refused, @r"
    error: `[DIR]/net/model.pth` is not an ONNX model but a Python pickle, such as an old PyTorch checkpoint

    hint: `trainer import FILE` writes the ONNX file of a ResNet, MobileNetV2, EfficientNet-Lite or plain ViT; load others in PyTorch and export them with `torch.onnx.export`
    ");
}
