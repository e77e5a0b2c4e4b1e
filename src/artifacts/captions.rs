//! The captions that a captioner gives the validation frames: a JSON line for each.

use std::path::Path;

use serde::{Deserialize, Serialize};
use surgcam_engine::error::Result;
use surgcam_frames::dataset::json_lines::{read_lines, write_lines};

/// The caption of a frame, beside what somebody wrote about it. Both are tokens with spaces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameCaption {
    pub sequence: String,
    pub frame: String,
    pub caption: String,
    pub reference: String,
}

pub fn write(captions: &[FrameCaption], path: &Path) -> Result<()> {
    write_lines(path, captions)
}

pub fn read(path: &Path) -> Result<Vec<FrameCaption>> {
    read_lines(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_read_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.jsonl");
        let captions = vec![FrameCaption {
            sequence: "seq_1".into(),
            frame: "frame007".into(),
            caption: "a \"hook\" cuts".into(),
            reference: "the hook\tcuts".into(),
        }];
        write(&captions, &path).unwrap();
        assert_eq!(read(&path).unwrap(), captions);
    }
}
