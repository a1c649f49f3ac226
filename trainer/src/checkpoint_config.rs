//! What `config.json` beside a checkpoint says of its network: the files of timm and of transformers. It reads no
//! tensor; the preprocessing in the same files is `data::preprocessor_config`'s.

use std::path::Path;

use models::{Activation, CheckpointOptions, VitSettings};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Arguments of timm's networks that change no layer, or show in the tensors.
const HARMLESS_ARGUMENTS: [&str; 17] = [
    "class_token",
    "depth",
    "drop_path_rate",
    "drop_rate",
    "dynamic_img_size",
    "embed_dim",
    "global_pool",
    "img_size",
    "in_chans",
    "init_values",
    "no_embed_class",
    "num_classes",
    "num_heads",
    "patch_size",
    "pre_norm",
    "qkv_bias",
    "reg_tokens",
];

/// Reads `config.json` beside a checkpoint; none where there is none, or it is about something else.
///
/// # Errors
/// The file cannot be read, or asks for what no network here does.
pub fn beside(checkpoint: &Path) -> Result<Option<CheckpointOptions>> {
    let path = checkpoint.with_file_name("config.json");
    if !path.is_file() {
        return Ok(None);
    }
    read(&fs_err::read_to_string(&path)?).map_err(|reason| {
        Error::refused_with_hint(
            format!("`{}`: {reason}", path.display()),
            "where the file is about another network, move the checkpoint elsewhere and name its network with \
             `--architecture`",
        )
    })
}

/// Reads the text of a file; an error is a phrase.
fn read(text: &str) -> Result<Option<CheckpointOptions>, String> {
    let json: Value =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let Some(fields) = json.as_object() else {
        return Ok(None);
    };
    if let Some(architecture) = text_of(fields, "architecture") {
        return timm(fields, architecture).map(Some);
    }
    let class = fields.get("architectures").and_then(|list| list.get(0));
    let class = class.and_then(Value::as_str);
    match class.or_else(|| text_of(fields, "model_type").map(class_of)) {
        Some(class) => transformers(fields, class).map(Some),
        None => Ok(None),
    }
}

fn text_of<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    fields.get(key)?.as_str()
}

fn timm(fields: &Map<String, Value>, architecture: &str) -> Result<CheckpointOptions, String> {
    let arguments = fields.get("model_args").and_then(Value::as_object);
    let unknown = arguments.and_then(|arguments| {
        let mut keys = arguments.keys();
        keys.find(|key| !HARMLESS_ARGUMENTS.contains(&key.as_str()))
    });
    if let Some(key) = unknown {
        return Err(format!(
            "`model_args` has `{key}`, which changes the network"
        ));
    }
    let argument = |key| arguments.and_then(|arguments| arguments.get(key));
    let pool = argument("global_pool").and_then(Value::as_str);
    let averages_patches = match pool.or_else(|| text_of(fields, "global_pool")) {
        None | Some("") => None,
        Some("token") => Some(false),
        Some("avg") => Some(true),
        Some(other) => return Err(format!("`global_pool: {other}` is neither avg nor token")),
    };
    // Behind the point is which weights: `resnet50.a1_in1k`.
    let name = architecture
        .split_once('.')
        .map_or(architecture, |(name, _)| name);
    Ok(CheckpointOptions {
        architecture: Some(name.to_owned()),
        vit: VitSettings {
            num_heads: argument("num_heads").and_then(whole),
            averages_patches,
            ..VitSettings::default()
        },
        ..CheckpointOptions::default()
    })
}

/// The class of transformers for a `model_type`.
fn class_of(model_type: &str) -> &str {
    match model_type {
        "vit" => "ViTModel",
        "deit" => "DeiTModel",
        "dinov2" => "Dinov2Model",
        "dinov2_with_registers" => "Dinov2WithRegistersModel",
        "clip" => "CLIPModel",
        "clip_vision_model" => "CLIPVisionModel",
        other => other,
    }
}

fn transformers(fields: &Map<String, Value>, class: &str) -> Result<CheckpointOptions, String> {
    // CLIP's file is about words, too.
    let own = fields.get("vision_config").and_then(Value::as_object);
    let fields = own.unwrap_or(fields);
    let is_clip = class.starts_with("CLIP");
    // Defaults of the classes' configurations: a file may leave them out.
    let (epsilon, activation) = match class {
        _ if is_clip => (1e-5, Activation::QuickGelu),
        _ if class.starts_with("Dinov2") => (1e-6, Activation::Gelu),
        _ => (1e-12, Activation::Gelu),
    };
    let activation = match text_of(fields, "hidden_act") {
        None => activation,
        Some("gelu") => Activation::Gelu,
        Some("quick_gelu") => Activation::QuickGelu,
        Some(other) => {
            return Err(format!(
                "`hidden_act: {other}` is neither gelu nor quick_gelu"
            ));
        }
    };
    let own_epsilon = fields.get("layer_norm_eps").and_then(Value::as_f64);
    Ok(CheckpointOptions {
        architecture: Some(class.to_owned()),
        vit: VitSettings {
            num_heads: fields.get("num_attention_heads").and_then(whole),
            epsilon: Some(own_epsilon.map_or(epsilon, |epsilon| epsilon as f32)),
            activation: Some(activation),
            averages_patches: Some(false),
        },
        ..CheckpointOptions::default()
    })
}

fn whole(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .and_then(|number| usize::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::{Activation, read};

    #[test]
    fn files_of_timm_and_transformers_name_the_architecture() {
        let named = |text: &str| read(text).unwrap().and_then(|options| options.architecture);
        for (text, expected) in [
            (r#"{"architecture": "resnet50.a1_in1k"}"#, "resnet50"),
            (
                r#"{"architectures": ["Dinov2Model"], "model_type": "dinov2"}"#,
                "Dinov2Model",
            ),
            (r#"{"model_type": "clip"}"#, "CLIPModel"),
            (r#"{"model_type": "swin"}"#, "swin"),
        ] {
            assert_eq!(named(text).as_deref(), Some(expected));
        }
        for text in ["[]", r#"{"port": 80}"#] {
            assert_eq!(named(text), None);
        }
    }

    #[test]
    fn settings_that_no_tensor_has_are_read() {
        let vit = |text: &str| read(text).unwrap().unwrap().vit;
        let timm = vit(
            r#"{"architecture": "vit_x", "global_pool": "avg", "model_args": {"num_heads": 5}}"#,
        );
        assert_eq!(
            (timm.num_heads, timm.averages_patches),
            (Some(5), Some(true))
        );
        let clip = vit(
            r#"{"model_type": "clip", "hidden_act": "x", "vision_config": {"hidden_act": "gelu", "num_attention_heads": 3}}"#,
        );
        assert_eq!(clip.activation, Some(Activation::Gelu));
        assert_eq!((clip.num_heads, clip.epsilon), (Some(3), Some(1e-5)));
        let own = vit(r#"{"model_type": "vit", "layer_norm_eps": 0.5}"#);
        assert_eq!(
            (own.activation, own.epsilon),
            (Some(Activation::Gelu), Some(0.5))
        );
    }

    #[test]
    fn what_changes_the_network_unseen_is_refused_by_name() {
        for (text, expected) in [
            ("{", "it is not JSON: "),
            (
                r#"{"architecture": "resnet50", "model_args": {"act_layer": "silu"}}"#,
                "`model_args` has `act_layer`",
            ),
            (
                r#"{"architecture": "vit_x", "global_pool": "map"}"#,
                "`global_pool: map`",
            ),
            (
                r#"{"model_type": "vit", "hidden_act": "relu"}"#,
                "`hidden_act: relu`",
            ),
        ] {
            let reason = read(text).unwrap_err();
            assert!(reason.starts_with(expected), "{reason}");
        }
    }
}
