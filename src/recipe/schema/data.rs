//! The sections about frames and their labels: `[adapter.NAME]`, `[label_space.NAME]` and
//! `[data.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::declare::section;
use surgcam_frames::dataset::index::{Layout, OnBadFrame};
use surgcam_frames::dataset::pattern::Pattern;
use surgcam_values::{ChannelDeviations, ChannelMeans, ClassName, ImageSize, Whole};

section! {
    /// `[adapter.NAME]`: how the folder of a data set is laid out.
    AdapterRecipe, AdapterPatch {
        /// The reader of the data set's files.
        layout: Layout = Layout::EndoVis18,
        /// Where the picture of a frame lies, with `{sequence}` and `{frame}` for its numbers. For
        /// a table, the folder that the paths in it count from.
        frames: Option<Pattern> = None,
        /// Where the tool file of a sequence lies, or the table of all frames. The first of the
        /// files that exists is read. For `voc` and `yolo`, where the file of a frame lies, with
        /// `{sequence}` and `{frame}` for its numbers. For `coco`, the JSON files; all of them that
        /// exist are read.
        labels: Vec<Pattern> = Vec::new(),
        /// Where the boxes of a sequence lie: a text file, a CSV file or a folder of XML files. The
        /// first of them that exists is read.
        boxes: Vec<Pattern> = Vec::new(),
        /// Where captions lie: JSON files or folders of XML files. All of them that exist are read.
        /// If several have a caption for a frame, the earliest one in the list counts.
        captions: Vec<Pattern> = Vec::new(),
        /// Where interactions lie: a CSV file of one sequence or of all sequences, a folder of XML
        /// files, or a JSON file of CholecT50. The first of them that exists is read.
        interactions: Vec<Pattern> = Vec::new(),
        /// By how much the frame number in the label files grows from one picture to the next: 25
        /// if labels count at 25 fps and pictures lie at 1 fps.
        frame_step: Whole<1, 1_000_000> = Whole::new(1),
        /// The class names of the label spaces, by the names that the data set has for these
        /// classes.
        classes: BTreeMap<String, String> = BTreeMap::new(),
        /// For JSON files of CholecT50 among `interactions`: the interaction that each verb stands
        /// for.
        verbs: BTreeMap<String, String> = BTreeMap::new(),
    }
}

section! {
    /// `[label_space.NAME]`: the classes that a model tells apart, in their order.
    LabelSpaceRecipe, LabelSpacePatch {
        /// The names of the classes. The last one is the tissue.
        classes: Vec<ClassName> = Vec::new(),
    }
}

section! {
    /// `[data.NAME]`: frames with labels.
    DataRecipe, DataPatch {
        /// Another data recipe, whose values hold where this one gives none.
        extends: Option<String> = None,
        /// The name of an adapter such as `endovis18`, `cholec80` or `table`, `sample` for drawn
        /// scenes, or `mix` for a mix of other data recipes.
        adapter: String = String::new(),
        /// The folder of the data set. A relative path counts from the project's folder.
        root: Option<PathBuf> = None,
        /// For `mix`: the data recipes whose train frames are put together.
        parts: Vec<String> = Vec::new(),
        /// The numbers of the sequences or videos to train on.
        train: Vec<u32> = Vec::new(),
        /// The numbers of the sequences or videos to validate on.
        validation: Vec<u32> = Vec::new(),
        /// What a user is told who has given neither `train` nor `validation`, where the split of a
        /// data set is left to the user.
        split_hint: Option<String> = None,
        /// The `[height, width]` that frames are resized to, in pixels.
        image_size: ImageSize = ImageSize::new(256, 320),
        /// The label space with the classes, unless the model names a label space of its own.
        label_space: String = String::from("endovis-11"),
        /// The mean of each channel of frames in [0, 1]. It is used in localisation and extraction,
        /// and in training if the model gives no means.
        mean: ChannelMeans = ChannelMeans::OF_THE_AUTHORS,
        /// The standard deviation of each channel, which is used where `mean` is used.
        std: ChannelDeviations = ChannelDeviations::OF_THE_AUTHORS,
        /// What happens when a picture is broken, a frame is missing, or a line of labels or boxes
        /// is bad: `fail`, or `skip` the frame and count it.
        on_bad_frame: OnBadFrame = OnBadFrame::Fail,
        /// Used instead of the adapter's `frames`.
        frames: Option<Pattern> = None,
        /// Used instead of the adapter's `labels`.
        labels: Option<Vec<Pattern>> = None,
        /// Used instead of the adapter's `boxes`.
        boxes: Option<Vec<Pattern>> = None,
        /// Used instead of the adapter's `captions`.
        captions: Option<Vec<Pattern>> = None,
        /// Used instead of the adapter's `interactions`.
        interactions: Option<Vec<Pattern>> = None,
        /// Used instead of the adapter's `frame_step`.
        frame_step: Option<Whole<1, 1_000_000>> = None,
        /// Added to the adapter's `classes`.
        classes: BTreeMap<String, String> = BTreeMap::new(),
        /// Added to the adapter's `verbs`.
        verbs: BTreeMap<String, String> = BTreeMap::new(),
        /// For `sample`: the adapter in whose layout the drawn scenes are written.
        layout: Option<String> = None,
        /// For `sample`: how many scenes are drawn for each sequence.
        frames_per_sequence: Whole<1, 100_000> = Whole::new(24),
        /// For `sample`: the `[height, width]` of the drawn pictures, in pixels.
        picture_size: ImageSize = ImageSize::new(256, 320),
        /// For `sample`: the seed of the drawn scenes. Another seed draws other scenes.
        seed: u64 = 42,
    }
}
