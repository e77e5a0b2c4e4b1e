//! Computes a stage's tensors on one thread, however many the worker has. This is for work of many
//! small steps, in which threads would mostly wait for each other.

/// While this value lives, the tensors of the calling thread are computed by that thread alone.
#[must_use = "there are as many threads as before as soon as this is dropped"]
pub struct OneThread {
    before: i32,
}

impl OneThread {
    /// `None` where it is not wanted.
    pub fn if_wanted(is_wanted: bool) -> Option<Self> {
        is_wanted.then(|| {
            let before = tch::get_num_threads();
            tch::set_num_threads(1);
            OneThread { before }
        })
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        tch::set_num_threads(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_as_many_as_before_when_it_is_over() {
        let before = tch::get_num_threads();
        let one = OneThread::if_wanted(true);
        assert_eq!(tch::get_num_threads(), 1);
        drop(one);
        assert_eq!(tch::get_num_threads(), before);
        let _none = OneThread::if_wanted(false);
        assert_eq!(tch::get_num_threads(), before);
    }
}
