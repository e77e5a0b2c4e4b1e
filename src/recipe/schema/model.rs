//! The section `[model.NAME]`.

use std::path::PathBuf;

use super::declare::section;
use surgcam_frames::dataset::augment::Augmentation;
use surgcam_values::{
    Backbone, ChannelDeviations, ChannelMeans, Decay, Factor, Init, LearningRate, Share, Threshold,
    Training, TrainingPrecision, Whole,
};

section! {
    /// `[model.NAME]`: a classifier and how it is trained (METHOD 3).
    ModelRecipe, ModelPatch {
        /// Another model recipe, whose values hold where this one gives none.
        extends: Option<String> = None,
        /// The network that computes the feature maps.
        backbone: Backbone = Backbone::ResNet50,
        /// How many consecutive frames of a sequence the model sees together. 1 is a classifier of
        /// single frames. A longer clip goes through an LSTM, and the labels of its last frame
        /// are predicted ([the temporal variant](method.md)).
        clip_length: Whole<1, 64> = Whole::new(1),
        /// The data recipe whose train frames the model learns from.
        data: String = String::new(),
        /// The data recipe that the model is validated on, and that localisation and extraction
        /// use. Without a value it is that of `data`.
        validation: Option<String> = None,
        /// The label space of the model, used instead of the data's.
        label_space: Option<String> = None,
        /// The weights that training starts from: `random`, or a file with weights of the backbone.
        init: Init = Init::Random,
        /// Another model recipe. This model starts from its trained backbone and has a new head.
        /// `init` is then not used.
        fine_tune_from: Option<String> = None,
        /// Whether the model is trained: `full`, or `none` to take `weights` as they are.
        train: Training = Training::Full,
        /// For `train = "none"`: the file with the weights, which must be of this backbone and have
        /// as many classes as the label space.
        weights: Option<PathBuf> = None,
        /// The SHA-256 digest that `weights` must have, or its first digits.
        weights_sha256: Option<String> = None,
        /// How often training goes through all train frames.
        epochs: Whole<1, 1_000_000> = Whole::new(200),
        /// How many frames there are in a training step. Clips fill it as far as whole clips do.
        batch_size: Whole<1, 65_536> = Whole::new(32),
        /// The learning rate of SGD at the start.
        learning_rate: LearningRate = LearningRate::new(1e-3),
        /// The momentum of SGD.
        momentum: Share = Share::new(0.9),
        /// The weight decay, which applies to all parameters.
        weight_decay: Decay = Decay::new(1e-4),
        /// The share of features that training drops before the linear layer. 0 drops none.
        dropout: Threshold = Threshold::new(0.0).expect("0 is a threshold"),
        /// What the learning rate is multiplied by when the validation loss no longer falls.
        plateau_factor: Factor = Factor::new(0.95),
        /// For how many epochs without a better validation loss the learning rate stays as it is.
        plateau_patience: Whole<0, 1_000_000> = Whole::new(3),
        /// A validation loss counts as better if it is below the best one by more than this share.
        plateau_threshold: Share = Share::new(1e-4),
        /// The numbers that training counts in: `f32`, or `bf16` for mixed precision
        /// ([what that changes](performance.md)).
        precision: TrainingPrecision = TrainingPrecision::F32,
        /// How far training frames are changed at random.
        augmentation: Augmentation = Augmentation::PAPER,
        /// The mean of each channel of frames in [0, 1], in training and evaluation. Without a
        /// value it is the data's.
        mean: Option<ChannelMeans> = None,
        /// The standard deviation of each channel, in training and evaluation. Without a value it
        /// is the data's.
        std: Option<ChannelDeviations> = None,
        /// The seed of all random draws.
        seed: u64 = 42,
    }
}
