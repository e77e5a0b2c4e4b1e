//! The section `[head.NAME]`.

use super::declare::section;
use surgcam_values::{HeadTask, InteractionLoss, LearningRate, Positive, Threshold, Whole};

section! {
    /// `[head.NAME]`: what is learnt from features in order to judge them (METHOD 8).
    HeadRecipe, HeadPatch {
        /// Another head recipe, whose values hold where this one gives none.
        extends: Option<String> = None,
        /// What the head learns: `probe` (the labels, in closed form), `caption` or `interaction`.
        task: HeadTask = HeadTask::Probe,
        /// For `probe`: the penalty of the ridge regression on standardised features, relative to
        /// how many features there are.
        ridge: Positive = Positive::new(1.0),
        /// How often training goes through all annotated train frames.
        epochs: Whole<1, 1_000_000> = Whole::new(50),
        /// How many frames there are in a training step.
        batch_size: Whole<1, 65_536> = Whole::new(50),
        /// The learning rate of Adam. For `caption`, the warm-up schedule is multiplied by it.
        /// Without a value it is 1 for `caption` and 1e-3 for `interaction`.
        learning_rate: Option<LearningRate> = None,
        /// The share of values that training drops in the layers of the network.
        dropout: Threshold = Threshold::new(0.1).expect("0.1 is a threshold"),
        /// The most regions of a frame that the head sees. Regions of the most probable classes
        /// come first, then those with the highest confidence.
        maximum_regions: Whole<1, 256> = Whole::new(6),
        /// The length of the network's vectors, which must be a multiple of `attention_heads`.
        width: Whole<1, 4096> = Whole::new(512),
        /// For `caption`: how many layers the encoder has, and as many has the decoder. For
        /// `interaction`: in how many rounds the nodes of the graph exchange messages.
        layers: Whole<1, 64> = Whole::new(3),
        /// How many heads each attention has.
        attention_heads: Whole<1, 256> = Whole::new(8),
        /// For `caption`: the inner width of the feed-forward layers.
        feed_forward: Whole<1, 65_536> = Whole::new(2048),
        /// For `caption`: how many memory slots each attention of the encoder has.
        memory_slots: Whole<0, 4096> = Whole::new(40),
        /// For `caption`: for how many steps the learning rate rises.
        warm_up_steps: Whole<1, 1_000_000_000> = Whole::new(10_000),
        /// For `caption`: the label smoothing of the cross-entropy. 0 smooths nothing.
        label_smoothing: Threshold = Threshold::new(0.0).expect("0 is a threshold"),
        /// For `caption`: a word that is in the train captions less often than this is unknown.
        minimum_frequency: Whole<1, 1_000_000_000> = Whole::new(1),
        /// For `caption`: how many sentences are kept while a caption is searched for.
        beam: Whole<1, 100> = Whole::new(5),
        /// For `caption`: the most words that a caption may have.
        longest_caption: Whole<1, 1000> = Whole::new(20),
        /// For `caption`: how many epochs of self-critical training follow, which raises CIDEr
        /// itself.
        self_critical_epochs: Whole<0, 1_000_000> = Whole::new(0),
        /// For `caption`: the learning rate of the self-critical epochs.
        self_critical_learning_rate: LearningRate = LearningRate::new(5e-6),
        /// For `caption`: how many epochs follow in which the backbone learns together with the
        /// captioner. Only `sl-fe` can do this.
        joint_epochs: Whole<0, 1_000_000> = Whole::new(0),
        /// For `caption`: the learning rate of the backbone in the joint epochs.
        joint_learning_rate: LearningRate = LearningRate::new(1e-5),
        /// For `interaction`: the loss that training makes smaller.
        loss: InteractionLoss = InteractionLoss::CrossEntropy,
        /// The seed of all random draws.
        seed: u64 = 42,
    }
}
