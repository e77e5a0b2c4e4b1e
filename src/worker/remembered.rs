//! Results that several settings of a sweep need of a frame are computed once.

use std::cell::RefCell;
use std::sync::Arc;

/// Results by what they depend on, of which a sweep has few. It belongs to one thread at a time.
pub struct Remembered<Q, A>(RefCell<Vec<(Q, Arc<A>)>>);

impl<Q, A> Default for Remembered<Q, A> {
    fn default() -> Self {
        Remembered(RefCell::default())
    }
}

impl<Q: PartialEq, A> Remembered<Q, A> {
    /// The result for this key, from before or computed now.
    pub fn answer(&self, question: Q, find: impl FnOnce() -> A) -> Arc<A> {
        if let Some((_, answer)) = self.0.borrow().iter().find(|(known, _)| *known == question) {
            return answer.clone();
        }
        let answer = Arc::new(find());
        self.0.borrow_mut().push((question, answer.clone()));
        answer
    }

    pub fn has(&self, question: &Q) -> bool {
        self.0.borrow().iter().any(|(known, _)| known == question)
    }
}
