//! Regions of a frame, and their features.

use surgcam_frames::vision::geometry::Box2;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    pub class: usize,
    /// Among the regions of its class.
    pub index: usize,
    pub bounds: Box2,
    /// Mean heat inside the box; 1 where it does not come from heat.
    pub confidence: f32,
}

/// Regions of a frame, by class and then by box, and how many present classes have none.
#[derive(Debug, Clone, Default)]
pub struct FoundRegions {
    pub regions: Vec<Region>,
    pub empty_classes: usize,
}

/// What a mode makes of one frame.
#[derive(Debug)]
pub struct Extracted {
    pub regions: Vec<Region>,
    /// [regions, 512], on the CPU.
    pub features: Vec<f32>,
    pub forward_passes: usize,
    /// Present classes without a region.
    pub empty_classes: usize,
}

/// What decides the regions of a frame besides its heat maps.
#[derive(Debug, Clone, Copy)]
pub struct FrameSpace {
    /// `[height, width]` of the frames.
    pub image_size: [u32; 2],
    pub classes: usize,
}

impl FrameSpace {
    pub fn whole_frame(&self) -> Box2 {
        let [height, width] = self.image_size;
        Box2::from([0, 0, i64::from(width), i64::from(height)])
    }
}
