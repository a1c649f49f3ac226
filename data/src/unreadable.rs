//! Tolerance for unreadable images: up to 5 % are left out.
//!
//! The one rule for decoding, cached features, evaluation and the audit. Knows no decoder.

use crate::{Error, Result, Unreadable};

/// One unreadable image in this many is tolerated: 5 %. A few bad files are usual in a large set; more mean
/// a wrong folder or a damaged disk.
const ONE_IN: usize = 20;

/// Whether more than 5 % are unreadable.
///
/// ```
/// assert!(!classifold_data::unreadable::is_too_many(1, 20) && classifold_data::unreadable::is_too_many(2, 20));
/// ```
#[must_use]
pub const fn is_too_many(unreadable: usize, total: usize) -> bool {
    unreadable * ONE_IN > total
}

/// Accepts up to 5 % of unreadable images among `total`.
///
/// # Errors
/// [`Error::TooManyUnreadable`], which names the first of them.
pub fn check(unreadable: &[Unreadable], total: usize) -> Result<()> {
    match unreadable.first() {
        Some(first) if is_too_many(unreadable.len(), total) => Err(Error::TooManyUnreadable {
            unreadable: unreadable.len(),
            total,
            path: first.path.clone(),
            reason: first.reason.clone(),
        }),
        _ => Ok(()),
    }
}
