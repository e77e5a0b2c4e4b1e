//! Counts what a push or a pull has transferred.

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
    /// Records of stages that the other side already has with other outputs.
    pub differing: usize,
}
