//! The readers of the layouts that users have, each behind the trait [`Adapter`].
//!
//! A new layout needs a reader here, a value of [`Layout`] with its line in [`Layout::adapter`],
//! and an `[adapter.NAME]` recipe. The layouts in which sample data is drawn are apart from these,
//! in [`super::sample`]. `endovis18`, `cholec80` and `cholect50` read a file for each sequence,
//! `table` and `coco` read one file for all sequences, and `voc` and `yolo` read one for each frame
//! (`frame_files`).

mod cholec80;
mod cholect50;
pub(super) mod coco;
mod endovis18;
mod frame_files;
pub(super) mod table;
mod voc;
mod yolo;

use serde::{Deserialize, Serialize};

use super::raw::Adapter;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    EndoVis18,
    Cholec80,
    Table,
    Voc,
    Coco,
    Yolo,
    CholecT50,
}

impl Layout {
    pub fn adapter(self) -> &'static dyn Adapter {
        match self {
            Layout::EndoVis18 => &endovis18::EndoVis18,
            Layout::Cholec80 => &cholec80::Cholec80,
            Layout::Table => &table::Table,
            Layout::Voc => &voc::Voc,
            Layout::Coco => &coco::Coco,
            Layout::Yolo => &yolo::Yolo,
            Layout::CholecT50 => &cholect50::CholecT50,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::names::is_plain;

    #[test]
    fn every_name_that_is_made_is_a_plain_file_name() {
        for layout in [
            Layout::EndoVis18,
            Layout::Cholec80,
            Layout::Table,
            Layout::Voc,
            Layout::Coco,
            Layout::Yolo,
            Layout::CholecT50,
        ] {
            let adapter = layout.adapter();
            for number in [0, 1, 12, 1234567, u32::MAX] {
                assert!(
                    is_plain(&adapter.sequence_name(number))
                        && is_plain(&adapter.frame_name(number)),
                    "{layout:?} {number}"
                );
            }
        }
    }
}
