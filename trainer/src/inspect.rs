//! What a network sees: the pictures of `trainer inspect`, made from the exported file alone.
//!
//! [`anatomy`] reads the graph and [`simplified`] makes another one of its convolutions;
//! [`subject`] runs them on a picture, inner values exposed; [`attention`] and [`occlusion`] turn
//! values into a [`Heat`](attention::Heat) over the picture; [`tiles`] and [`overlay`] draw, and an
//! [`Album`](album::Album) keeps the pictures. Nothing here trains or prints, and nothing knows Burn.

pub mod album;
pub mod anatomy;
pub mod attention;
pub mod occlusion;
pub mod overlay;
pub mod simplified;
pub mod subject;
pub mod tiles;
