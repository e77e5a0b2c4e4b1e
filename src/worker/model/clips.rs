//! Clips: the pooled features of the frames that a temporal classifier sees together.
//!
//! Each frame goes through the ResNet once, and its pooled features are remembered for the next
//! clips.

use tch::Tensor;

/// The pooled features of the last frames of a sequence, whose frames come in their order.
pub struct ClipMemory {
    clip_length: i64,
    sequence: String,
    /// [clip length - 1, C4]; none before the first frame of the sequence.
    earlier: Option<Tensor>,
}

impl ClipMemory {
    pub fn new(clip_length: i64) -> Self {
        ClipMemory { clip_length, sequence: String::new(), earlier: None }
    }

    /// Says which sequence the next frames belong to. If it is a new sequence, the features of the
    /// old one are forgotten.
    pub fn enter(&mut self, sequence: &str) {
        if self.sequence != sequence {
            self.sequence = sequence.to_string();
            self.earlier = None;
        }
    }

    /// The pooled features of the next frames [N, C4] -> their clips [N, clip length, C4], each
    /// ending with its own frame. Where there are too few frames before one, the first frame of the
    /// sequence is repeated.
    pub fn clips_of(&mut self, pooled: &Tensor) -> Tensor {
        if self.clip_length == 1 {
            return pooled.unsqueeze(1);
        }
        let before = self.clip_length - 1;
        tch::no_grad(|| {
            let earlier = self
                .earlier
                .take()
                .unwrap_or_else(|| pooled.narrow(0, 0, 1).expand([before, -1], false));
            let all = Tensor::cat(&[&earlier, pooled], 0);
            self.earlier = Some(all.narrow(0, pooled.size()[0], before).copy());
            all.unfold(0, self.clip_length, 1).transpose(1, 2).contiguous()
        })
    }
}

/// [N, C4] -> [N, clip length, C4]: frames of which no earlier ones are known, each repeated.
pub fn of_single_frames(pooled: &Tensor, clip_length: i64) -> Tensor {
    pooled.unsqueeze(1).expand([-1, clip_length, -1], false)
}

/// [N, C4] -> [N, clip length, C4]: clips that each end with one of these frames and begin with the
/// same earlier ones [clip length - 1, C4].
pub fn behind(earlier: &Tensor, pooled: &Tensor) -> Tensor {
    let earlier = earlier.unsqueeze(0).expand([pooled.size()[0], -1, -1], false);
    Tensor::cat(&[earlier, pooled.unsqueeze(1)], 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::values_of;

    /// The clips of frames whose pooled features are their numbers.
    fn clips(memory: &mut ClipMemory, frames: &[f32]) -> Vec<Vec<f32>> {
        let clips = memory.clips_of(&Tensor::from_slice(frames).view([-1, 1]));
        let length = clips.size()[1] as usize;
        values_of(&clips).chunks(length).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn a_clip_ends_with_its_frame_and_the_first_frame_of_a_sequence_is_repeated() {
        let mut memory = ClipMemory::new(3);
        memory.enter("seq_1");
        assert_eq!(clips(&mut memory, &[1.0]), [[1.0, 1.0, 1.0]]);
        memory.enter("seq_1");
        assert_eq!(clips(&mut memory, &[2.0, 3.0]), [[1.0, 1.0, 2.0], [1.0, 2.0, 3.0]]);
        assert_eq!(clips(&mut memory, &[4.0]), [[2.0, 3.0, 4.0]]);
        memory.enter("seq_2");
        assert_eq!(
            clips(&mut memory, &[5.0, 6.0, 7.0, 8.0]),
            [[5.0, 5.0, 5.0], [5.0, 5.0, 6.0], [5.0, 6.0, 7.0], [6.0, 7.0, 8.0]]
        );
        assert_eq!(clips(&mut ClipMemory::new(1), &[1.0, 2.0]), [[1.0], [2.0]]);
    }

    #[test]
    fn a_frame_by_itself_is_repeated() {
        let pooled = Tensor::from_slice(&[1f32, 2.0, 3.0, 4.0]).view([2, 2]);
        let clips = of_single_frames(&pooled, 2);
        assert_eq!(values_of(&clips), [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
    }
}
