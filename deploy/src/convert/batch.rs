//! A model of a fixed batch size, freed from it. Changes no weights.

use onnx::{Document, ModelFile, surgery};

use crate::error::Result;
use crate::session::{Batch, Session, SessionOptions};

/// A copy of a model of a fixed batch size that takes any number of images; `None` where a constant inside the graph
/// holds the batch size, too, and the fixed one must stay. ONNX Runtime must have been loaded
/// ([`crate::runtime::load`]).
///
/// Other constants than the shapes of `Reshape` are not seen in the graph, so the copy is run before it is believed:
/// two images must give two rows, each the one that the image gives alone.
///
/// # Errors
/// The file is damaged, or its data is missing.
pub fn dynamic_batch(
    document: &Document,
    image_shape: Option<[usize; 3]>,
) -> Result<Option<Document>> {
    let mut document = document.clone();
    document.inline_external_data()?;
    surgery::set_batch_dynamic(document.graph_mut());
    let freed = ModelFile::from_bytes(document.to_bytes())?;
    let options = SessionOptions {
        image_shape,
        ..SessionOptions::default()
    };
    let agrees = Session::from_file(&freed, &options).and_then(|mut session| {
        // A session notices a batch that is left in the graph, and runs it as it can.
        Ok(session.batch() == Batch::Dynamic && rows_agree(&mut session)?)
    });
    // ONNX Runtime refuses the graph or the run where a shape does not go with two images.
    Ok(agrees.unwrap_or(false).then_some(document))
}

/// Whether two different images give the same rows together as each alone.
fn rows_agree(session: &mut Session) -> Result<bool> {
    // The session may have fallen back to one image at a time.
    if session.batch() != Batch::Dynamic {
        return Ok(false);
    }
    let len: usize = session.image_shape().iter().product();
    // Values between 0 and 1 without a period that a graph could share.
    let images: Vec<f32> = (0..2 * len)
        .map(|i| (i * 7919 % 1009) as f32 / 1008.0)
        .collect();
    let together = session.run(&images, 2)?;
    let mut alone = session.run(&images[..len], 1)?;
    alone.extend(session.run(&images[len..], 1)?);
    let largest = alone
        .iter()
        .fold(f32::MIN_POSITIVE, |max, v| max.max(v.abs()));
    let same = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-3 * largest;
    Ok(together.len() == alone.len() && together.iter().zip(&alone).all(same))
}
