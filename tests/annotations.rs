//! Real captions are read as they are.

mod common;

use std::collections::BTreeSet;

use common::real_frames;
use surgcam::dataset::annotations::caption_file;

/// METHOD 2.
const TRAIN: [u32; 11] = [2, 3, 4, 6, 7, 9, 10, 11, 12, 14, 15];
const VALIDATION: [u32; 3] = [1, 5, 16];

#[test]
fn every_real_caption_belongs_to_a_frame_of_its_split() {
    let Some(real) = real_frames() else { return };
    for (name, count, sequences) in [("captions_train.json", 1124, &TRAIN[..]), ("captions_val.json", 392, &VALIDATION[..])] {
        let mut problems = Vec::new();
        let captions = caption_file::read(&real.join("endovis18/captions").join(name), &mut problems).unwrap();
        assert!(problems.is_empty(), "{}", problems[0]);
        assert_eq!(captions.len(), count);
        assert_eq!(captions.iter().map(|found| found.frame).collect::<BTreeSet<_>>().len(), count, "{name} has a frame twice");
        let found: BTreeSet<u32> = captions.iter().map(|found| found.frame.sequence).collect();
        assert_eq!(found, sequences.iter().copied().collect(), "{name}");
        for found in &captions {
            assert!(found.frame.frame < 300 && found.caption.starts_with('A'), "{found:?}");
        }
    }
}
