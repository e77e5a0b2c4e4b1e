//! What follows the pooled features of a ResNet: a linear layer, and before it an LSTM where the
//! classifier sees clips (METHOD 3, "Temporal variant").

use surgcam_engine::error::Result;
use surgcam_pipeline::settings::Architecture;
use tch::{Device, Tensor};

use super::lstm::Lstm;
use super::weights::Weights;

pub struct ClassifierHead {
    clip_length: i64,
    /// Only a temporal classifier has it.
    lstm: Option<Lstm>,
    /// [classes, features]
    pub weight: Tensor,
    /// [classes]
    pub bias: Tensor,
}

impl ClassifierHead {
    /// Shares its tensors with `weights`.
    pub fn new(architecture: Architecture, weights: &Weights) -> Result<Self> {
        Ok(ClassifierHead {
            clip_length: architecture.frames_in_a_clip() as i64,
            lstm: architecture.clip_length.map(|_| Lstm::new(weights)).transpose()?,
            weight: weights.get("fc.weight")?,
            bias: weights.get("fc.bias")?,
        })
    }

    pub fn to_device(&self, device: Device) -> Self {
        ClassifierHead {
            clip_length: self.clip_length,
            lstm: self.lstm.as_ref().map(|lstm| lstm.to_device(device)),
            weight: self.weight.to_device(device),
            bias: self.bias.to_device(device),
        }
    }

    /// How many frames it sees together.
    pub fn clip_length(&self) -> i64 {
        self.clip_length
    }

    /// The pooled features of clips [N, clip length, C4] -> the logits of each clip's last frame
    /// [N, classes]; `dropout` only in training.
    pub fn logits(&self, clips: &Tensor, dropout: f64, train: bool) -> Tensor {
        let features = match &self.lstm {
            Some(lstm) => lstm.last_output(clips),
            None => clips.select(1, 0),
        };
        let features =
            if train && dropout > 0.0 { features.dropout(dropout, true) } else { features };
        features.linear(&self.weight, Some(&self.bias))
    }

    /// The gradient of each logit with respect to the pooled features of its clip's last frame:
    /// [N, clip length, C4] -> [N, classes, C4]. Clips do not depend on each other, so a class
    /// takes one backward pass for all of them.
    pub fn last_frame_gradients(&self, clips: &Tensor) -> Tensor {
        let last = self.clip_length - 1;
        tch::with_grad(|| {
            let earlier = clips.narrow(1, 0, last).detach();
            let last = clips.narrow(1, last, 1).detach().copy().set_requires_grad(true);
            let logits = self.logits(&Tensor::cat(&[&earlier, &last], 1), 0.0, false);
            let of_class = |class: i64| {
                Tensor::run_backward(&[logits.select(1, class)], &[&last], true, false)
                    .remove(0)
                    .squeeze_dim(1)
            };
            let gradients: Vec<Tensor> = (0..logits.size()[1]).map(of_class).collect();
            Tensor::stack(&gradients, 1)
        })
    }
}
