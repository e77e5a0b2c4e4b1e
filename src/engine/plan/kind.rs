//! A kind of stage as one type: what planner, worker and tables know of it is declared with its
//! parameters.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

use super::inputs::NamedInputs;

/// A kind of stage, implemented by its parameters. Raise the version when the same parameters and
/// inputs give another output than before.
///
/// Its outputs are constants of the type [`OutputOf`], and the paths that it reads are constants of
/// the type [`PathOf`].
pub trait StageKind: Serialize + DeserializeOwned {
    const NAME: &'static str;
    const VERSION: u32;
    /// Whether its stages need the whole machine, whatever resource a planner gives them.
    const IS_ALONE: bool = false;
    /// The pass in which its stages are made together with others that have the same inputs.
    const PASS: Option<&'static str> = None;

    /// What it reads from other stages; see [`inputs!`](crate::inputs).
    type Inputs<S>: NamedInputs<S>;
}

/// A kind whose stages write figures for tables. They have a file of their own, so that a table
/// need not read and check everything that a stage made.
pub trait HasMetrics: StageKind {
    type Metrics: Serialize + DeserializeOwned;

    const METRICS: OutputOf<Self> = OutputOf::new(METRICS_FILE);
}

/// The output with the metrics.
pub const METRICS_FILE: &str = "metrics.json";

/// The name of an output that stages of the kind `K` have, and no others.
pub struct OutputOf<K> {
    name: &'static str,
    kind: PhantomData<fn() -> K>,
}

/// The name of a path on this machine that stages of the kind `K` read. It is never part of a key.
pub struct PathOf<K> {
    name: &'static str,
    kind: PhantomData<fn() -> K>,
}

/// Both names can be copied even if their kind cannot.
macro_rules! name_of_kind {
    ($name:ident) => {
        impl<K> $name<K> {
            pub const fn new(name: &'static str) -> Self {
                $name { name, kind: PhantomData }
            }

            pub fn name(self) -> &'static str {
                self.name
            }
        }

        impl<K> Clone for $name<K> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<K> Copy for $name<K> {}
    };
}

name_of_kind!(OutputOf);
name_of_kind!(PathOf);
