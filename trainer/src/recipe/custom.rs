//! Settings of the custom ResNet.

use super::{Recipe, ensure};
use crate::error::Result;

impl Recipe {
    /// Channels of its images.
    pub fn num_channels(&self) -> usize {
        self.channels.unwrap_or(3)
    }

    /// Refuses sizes outside their range, by the name of their flag.
    pub(super) fn check_custom(&self) -> Result<()> {
        let channels = self.num_channels();
        let is_known = [1, 3, 4].contains(&channels);
        ensure(is_known, "channels", channels, "must be 1, 3 or 4")?;
        let is_sound = (16..=1024).contains(&self.size);
        ensure(is_sound, "size", self.size, "must be from 16 to 1024")
    }
}
