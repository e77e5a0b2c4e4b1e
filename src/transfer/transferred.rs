//! What a push or a pull has transferred.

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
    /// Records whose stage was there already, on the other side, with other outputs.
    pub differing: usize,
}
