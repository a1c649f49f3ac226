//! Visualisation of an exported network: kernels, feature maps and attribution, from the file alone.
//!
//! [`graph_analysis`] reads the graph and [`simplified`] chains its convolutions; [`inspected_model`] runs both
//! on an image and keeps inner values; [`attention`] and [`occlusion`] turn values into a
//! [`Heat`](attention::Heat) map over the image; [`tiles`] and [`overlay`] draw, and an
//! [`OutputFolder`](output_folder::OutputFolder) keeps the images. Nothing here trains or prints, and nothing
//! knows Burn.

pub mod attention;
pub mod graph_analysis;
pub mod inspected_model;
pub mod occlusion;
pub mod output_folder;
pub mod overlay;
pub mod simplified;
pub mod tiles;
