//! Plain vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929) and its kin: DeiT, DINOv2 with LayerScale and
//! registers, CLIP's tower for images.
//!
//! The writer knows timm's names of tensors; those of transformers and torchvision are translated first. The number of
//! heads, the epsilon and CLIP's activation are in no tensor.

mod names;
mod network;

use super::writer::Writer;
use super::{CheckpointOptions, ConvertedCheckpoint};
use crate::checkpoint::Weights;
use crate::error::{Error, Result};
pub(super) use names::select;
use network::Network;
use onnx::GraphBuilder;

/// Settings of a vision transformer that no tensor tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VitSettings {
    /// Heads of an attention; 64 channels each where it is not given.
    pub num_heads: Option<usize>,
    /// Epsilon of the layer norms.
    pub epsilon: Option<f32>,
    /// Activation inside a block; GELU where it is not given and the network is not CLIP's.
    pub activation: Option<Activation>,
    /// Whether the features are the mean over the patches, not the class token.
    pub averages_patches: Option<bool>,
}

/// Activation inside a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · Φ(x), by the error function.
    Gelu,
    /// x · σ(1.702 x), of OpenAI's CLIP.
    QuickGelu,
}

/// Beginnings of transformers' classes whose networks are known.
const CLASSES: [&str; 8] = [
    "ViTModel",
    "ViTForImageClassification",
    "DeiTModel",
    "DeiTForImageClassification",
    "Dinov2Model",
    "Dinov2ForImageClassification",
    "Dinov2WithRegisters",
    "CLIP",
];

/// Parts of timm's names that stand for another network than a plain one with the same tensors.
const OTHER: [&str; 5] = ["_rpn_", "siglip", "_rope", "_xp_", "tips"];

pub(super) fn knows(name: &str) -> bool {
    let is_class = CLASSES.iter().any(|class| name.starts_with(class));
    let is_timm = ["vit_", "deit_", "deit3_"]
        .iter()
        .any(|start| name.starts_with(start));
    is_class || is_timm && !OTHER.iter().any(|other| name.contains(other))
}

/// Sizes of a network.
struct Config {
    width: usize,
    depth: usize,
    num_heads: usize,
    patch: usize,
    /// Rows and columns of patches.
    grid: usize,
    epsilon: f32,
    activation: Activation,
    /// Tokens before those of the patches, each with its number of rows.
    tokens: Vec<(&'static str, usize)>,
    /// Whether the features are the mean over the patches.
    averages_patches: bool,
}

pub(super) fn convert(
    weights: Weights,
    options: &CheckpointOptions,
    hint: &str,
) -> Result<ConvertedCheckpoint> {
    let invalid = |weights: &Weights, problem: String, hint: &str| Error::Invalid {
        message: format!("`{}`: {problem}", weights.path().display()),
        hint: Some(hint.to_owned()),
    };
    let dim = |name: &str, axis| weights.dim(name, axis);
    let projection = "patch_embed.proj.weight";
    let sizes = [0, 1, 2].map(|axis| dim(projection, axis));
    let [Some(width), Some(channels), Some(patch)] = sizes else {
        let problem = format!("it has no tensor `{projection}` [D, C, P, P]");
        return Err(invalid(&weights, problem, hint));
    };
    let name = options.architecture.clone();
    let num_heads = options.vit.num_heads.unwrap_or_else(|| heads(width));
    if num_heads == 0 || !width.is_multiple_of(num_heads) {
        let problem = format!(
            "the number of heads is in no tensor, and {width} channels cannot be divided among {num_heads}"
        );
        return Err(invalid(&weights, problem, hint));
    }
    let tokens: Vec<(&str, usize)> = ["cls_token", "dist_token", "reg_token"]
        .into_iter()
        .filter_map(|token| {
            let shape = weights.shape(token)?;
            Some((token, shape.iter().product::<usize>() / width))
        })
        .collect();
    let table = Table::of_tensors(&weights, &tokens, width).ok_or_else(|| {
        invalid(
            &weights,
            "`pos_embed` is of no square grid of patches".into(),
            hint,
        )
    })?;
    let size = options.image_size.unwrap_or(table.side * patch);
    // In single precision; a small table can be asked for in any size.
    if (size / patch).pow(2).saturating_mul(4 * width) as u64 > onnx::proto::MAX_BYTES {
        let problem = format!("images of {size} pixels have too many patches of {patch}");
        return Err(invalid(&weights, problem, "take a smaller `--size`"));
    }
    if !size.is_multiple_of(patch) {
        let problem = format!("images of {size} pixels have no whole patches of {patch}");
        let (below, above) = (size / patch * patch, size.next_multiple_of(patch));
        let hint = format!("take `--size {below}` or `--size {above}`");
        return Err(invalid(&weights, problem, &hint));
    }
    let is_clip = weights.has("norm_pre.weight");
    let config = Config {
        width,
        depth: weights.count(|block| format!("blocks.{block}.norm1.weight")).max(1),
        num_heads,
        patch,
        grid: size / patch,
        epsilon: options.vit.epsilon.unwrap_or(if is_clip { 1e-5 } else { 1e-6 }),
        activation: activation(options, is_clip).ok_or_else(|| {
            let problem = "it may be CLIP's with GELU or with QuickGELU (OpenAI's weights), which no tensor tells";
            let hint = "say which it is: `--architecture vit_base_patch32_clip_224` has GELU, \
                        `--architecture vit_base_patch32_clip_quickgelu_224` QuickGELU; the sizes are those of the tensors";
            invalid(&weights, problem.into(), hint)
        })?,
        averages_patches: weights.has("fc_norm.weight")
            || options.vit.averages_patches.unwrap_or(!weights.has("cls_token")),
        tokens,
    };
    let name = name.unwrap_or_else(|| {
        let (depth, heads) = (config.depth, config.num_heads);
        format!("ViT of {depth} blocks of width {width} with {heads} heads and patches of {patch}")
    });
    let image_shape = [channels, size, size];
    let mut network = Network {
        writer: Writer {
            graph: GraphBuilder::new("vit"),
            weights,
            hint,
        },
        config,
    };
    let end = network.write(image_shape, &table)?;
    network.writer.finish(&name, image_shape, end)
}

/// The number of heads of networks of this width: 64 channels a head but for the largest.
fn heads(width: usize) -> usize {
    match width {
        1152 | 1280 | 1408 | 1664 => 16,
        _ => width / 64,
    }
}

/// The activation that is given, or in the architecture's name; none where nothing tells it.
fn activation(options: &CheckpointOptions, is_clip: bool) -> Option<Activation> {
    let named = |name: &String| {
        let is_timm = name.starts_with("vit_");
        match name.contains("quickgelu") {
            true => Some(Activation::QuickGelu),
            false => is_timm.then_some(Activation::Gelu),
        }
    };
    let name = options.architecture.as_ref();
    let given = options.vit.activation.or_else(|| name.and_then(named));
    given.or((!is_clip).then_some(Activation::Gelu))
}

/// The position embedding of a checkpoint.
struct Table {
    /// Rows and columns of its patches.
    side: usize,
    /// How many of the tokens before the patches have a row.
    embedded: usize,
}

impl Table {
    fn of_tensors(weights: &Weights, tokens: &[(&str, usize)], width: usize) -> Option<Self> {
        let shape = weights.shape("pos_embed")?;
        let rows = shape.iter().product::<usize>() / width;
        let all: usize = tokens.iter().map(|(_, rows)| rows).sum();
        let is_register = |name: &str| name == "reg_token";
        let registers = tokens.iter().filter(|(name, _)| is_register(name));
        let without_registers = all - registers.map(|(_, rows)| rows).sum::<usize>();
        [without_registers, 0, all]
            .into_iter()
            .find_map(|embedded| {
                let patches = rows.checked_sub(embedded)?;
                let side = patches.isqrt();
                (side > 0 && side * side == patches).then_some(Self { side, embedded })
            })
    }
}
