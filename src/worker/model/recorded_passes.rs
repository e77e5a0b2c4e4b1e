//! Forward passes over few frames on a GPU, each recorded once as a CUDA graph.
//!
//! A GPU computes a pass over one frame faster than a program can ask for its seventy steps. A
//! recording is started by one call. On the CPU, and for more frames, a pass is made step by step.

use std::cell::RefCell;

use surgcam_engine::error::Result;
use tch::{Device, Tensor};

use super::fused_convolution::channels_last;
use super::resnet::FeatureMaps;
use crate::cuda::graph::CudaGraph;
use crate::cuda::streams::is_aside;

/// With more frames than this, a GPU works longer than it waits for calls (docs/performance.md).
const MOST_FRAMES: i64 = 8;
/// Each recording keeps the memory of a pass.
const MOST_RECORDINGS: usize = 4;

/// The recordings of one network, by the size of the images.
#[derive(Default)]
pub struct RecordedPasses(RefCell<Known>);

#[derive(Default)]
struct Known {
    passes: Vec<(Vec<i64>, Pass)>,
    /// Whether one could not be recorded. Then all passes are made step by step.
    is_refused: bool,
}

enum Pass {
    /// A size that occurs only once is not worth a recording.
    SeenOnce,
    Recorded(RecordedPass),
}

struct RecordedPass {
    graph: CudaGraph,
    /// Where the graph reads.
    images: Tensor,
    /// Where it writes.
    maps: FeatureMaps,
}

impl RecordedPasses {
    /// The maps of `images` [N, 3, H, W], channels last, by `pass` or by a recording of it. `pass`
    /// must do the same each time.
    ///
    /// # Errors
    /// Those of `pass`, and where the card refuses a recording that it made.
    pub fn forward(
        &self,
        images: &Tensor,
        pass: impl Fn(&Tensor) -> Result<FeatureMaps>,
    ) -> Result<FeatureMaps> {
        let Device::Cuda(device) = images.device() else { return pass(images) };
        let mut known = self.0.borrow_mut();
        // A recording has one memory, so it cannot be replayed on two streams at once.
        if known.is_refused || images.size()[0] > MOST_FRAMES || is_aside() {
            return pass(images);
        }
        let size = images.size();
        let Some(place) = known.passes.iter().position(|(of, _)| *of == size) else {
            if known.passes.len() == MOST_RECORDINGS {
                drop(known.passes.remove(0));
            }
            known.passes.push((size, Pass::SeenOnce));
            return pass(images);
        };
        if let Pass::Recorded(recorded) = &known.passes[place].1 {
            return recorded.replay(images);
        }
        match RecordedPass::new(device, images, &pass) {
            Ok(recorded) => {
                let maps = recorded.replay(images);
                known.passes[place].1 = Pass::Recorded(recorded);
                maps
            }
            Err(problem) => {
                tracing::warn!("forward passes are not recorded: {problem}");
                known.is_refused = true;
                pass(images)
            }
        }
    }
}

impl RecordedPass {
    fn new(
        device: usize,
        images: &Tensor,
        pass: impl Fn(&Tensor) -> Result<FeatureMaps>,
    ) -> Result<Self> {
        let images = channels_last(&images.copy());
        let (graph, maps) = CudaGraph::capture(device, || pass(&images))?;
        Ok(RecordedPass { graph, images, maps })
    }

    /// The maps in memory of their own, because the next replay overwrites the memory of the graph.
    fn replay(&self, images: &Tensor) -> Result<FeatureMaps> {
        self.images.shallow_clone().copy_(images);
        self.graph.replay()?;
        let FeatureMaps { layer2, layer3, layer4 } = &self.maps;
        Ok(FeatureMaps { layer2: layer2.copy(), layer3: layer3.copy(), layer4: layer4.copy() })
    }
}
