//! Names of a vision transformer's tensors: those of transformers and torchvision are translated to timm's.

use crate::checkpoint::Weights;
use crate::error::Result;

/// Tensors by which a network is recognised, and what follows them: names of timm, transformers and torchvision.
const ANCHORS: [&str; 8] = [
    "patch_embed.proj.weight",
    "vit.embeddings.patch_embeddings.projection.weight",
    "deit.embeddings.patch_embeddings.projection.weight",
    "dinov2.embeddings.patch_embeddings.projection.weight",
    "dinov2_with_registers.embeddings.patch_embeddings.projection.weight",
    "embeddings.patch_embeddings.projection.weight",
    "vision_model.embeddings.patch_embedding.weight",
    "embeddings.patch_embedding.weight",
];
/// The one of torchvision, whose other networks have other names.
const TORCHVISION: &str = "conv_proj.weight";

/// Names of transformers (of its files, and of its networks since version 5) and torchvision, and timm's for the same;
/// an earlier one counts first.
const RENAMED: [(&str, &str); 51] = [
    ("dinov2_with_registers.", ""),
    ("vision_model.", ""),
    ("dinov2.", ""),
    ("deit.", ""),
    ("vit.", ""),
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.class_embedding", "cls_token"),
    ("embeddings.distillation_token", "dist_token"),
    ("embeddings.register_tokens", "reg_token"),
    ("register_tokens", "reg_token"),
    ("embeddings.mask_token", "mask_token"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.position_embedding.weight", "pos_embed"),
    ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
    ("embeddings.patch_embedding", "patch_embed.proj"),
    ("encoder.layers.encoder_layer_", "blocks."),
    ("encoder.layers.", "blocks."),
    ("encoder.layer.", "blocks."),
    ("layers.", "blocks."),
    ("attention.attention.query", "attn.q"),
    ("attention.attention.key", "attn.k"),
    ("attention.attention.value", "attn.v"),
    ("attention.output.dense", "attn.proj"),
    ("self_attention.in_proj_", "attn.qkv."),
    ("self_attention.out_proj", "attn.proj"),
    ("attention.q_proj", "attn.q"),
    ("attention.k_proj", "attn.k"),
    ("attention.v_proj", "attn.v"),
    ("attention.o_proj", "attn.proj"),
    ("self_attn.q_proj", "attn.q"),
    ("self_attn.k_proj", "attn.k"),
    ("self_attn.v_proj", "attn.v"),
    ("self_attn.out_proj", "attn.proj"),
    ("intermediate.dense", "mlp.fc1"),
    (".output.dense", ".mlp.fc2"),
    ("mlp.linear_1", "mlp.fc1"),
    ("mlp.linear_2", "mlp.fc2"),
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
    ("layer_norm1", "norm1"),
    ("layer_norm2", "norm2"),
    ("layer_scale1.lambda1", "ls1.gamma"),
    ("layer_scale2.lambda1", "ls2.gamma"),
    ("pre_layrnorm", "norm_pre"),
    ("post_layernorm", "norm"),
    ("layernorm", "norm"),
    ("cls_classifier", "head"),
    ("distillation_classifier", "head_dist"),
    ("classifier", "head"),
    ("encoder.pos_embedding", "pos_embed"),
    ("encoder.ln.", "norm."),
];
const TORCHVISION_RENAMED: [(&str, &str); 7] = [
    ("class_token", "cls_token"),
    ("conv_proj", "patch_embed.proj"),
    (".ln_1", ".norm1"),
    (".ln_2", ".norm2"),
    (".mlp.0.", ".mlp.fc1."),
    (".mlp.3.", ".mlp.fc2."),
    ("heads.head", "head"),
];

/// Beginnings of what no features need: mask of the pre-training, transformers' pooler and CLIP's other half.
const UNNEEDED: [&str; 7] = [
    "mask_token",
    "pooler.",
    "embeddings.position_ids",
    "text_model.",
    "text_projection",
    "visual_projection",
    "logit_scale",
];

/// Finds the tensors of a vision transformer and gives them timm's names; those that no features need are left out.
pub(in crate::architectures) fn select(weights: &mut Weights) -> Result<bool> {
    // `vit.` counts as one of the network's own names, for its classification layer stands beside it.
    for anchor in ANCHORS {
        if weights.select(anchor)? {
            translate(weights, &[]);
            return Ok(true);
        }
    }
    if weights.select(TORCHVISION)? {
        translate(weights, &TORCHVISION_RENAMED);
        return Ok(true);
    }
    Ok(false)
}

fn translate(weights: &mut Weights, own: &[(&str, &str)]) {
    weights.rename(|name| {
        let rules = own.iter().chain(&RENAMED);
        rules.fold(name.to_owned(), |name, (theirs, ours)| {
            name.replacen(theirs, ours, 1)
        })
    });
    weights.ignore(|name| UNNEEDED.iter().any(|start| name.starts_with(start)));
}
