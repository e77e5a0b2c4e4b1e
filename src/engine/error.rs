//! Expected failures: what went wrong, where, and what to do about it.
//!
//! Anything a user can cause (a bad recipe, a missing file, a full disk) is an [`Error`] value; a
//! panic is a bug. The text of `what` is a fragment that also reads well after "failed: ".

use std::fmt;
use std::path::Path;

use crate::quote::limited;

pub type Result<T> = std::result::Result<T, Error>;

/// Decides the exit code of a command (docs/contract.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A recipe or the command line is wrong: nothing ran. Exit code 2.
    Usage,
    /// Something failed while it ran. Exit code 1.
    Failure,
    /// The user stopped it. Exit code 130.
    Interrupted,
}

impl Class {
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Usage => 2,
            Class::Failure => 1,
            Class::Interrupted => 130,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Error(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    class: Class,
    what: String,
    place: Option<String>,
    hint: Option<String>,
}

impl Error {
    fn new(class: Class, what: impl fmt::Display) -> Self {
        Error(Box::new(Parts { class, what: limited(what.to_string()), place: None, hint: None }))
    }

    /// A mistake in a recipe or on the command line.
    pub fn usage(what: impl fmt::Display) -> Self {
        Self::new(Class::Usage, what)
    }

    /// Something that failed while work was done.
    pub fn failure(what: impl fmt::Display) -> Self {
        Self::new(Class::Failure, what)
    }

    pub fn interrupted(what: impl fmt::Display) -> Self {
        Self::new(Class::Interrupted, what)
    }

    /// Where: a file, `file:line`, or a stage. The innermost place that is known is kept.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place.get_or_insert_with(|| limited(place.to_string()));
        self
    }

    pub fn at_path(self, path: &Path) -> Self {
        self.at(path.display())
    }

    /// What to do about it.
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.hint.get_or_insert_with(|| limited(hint.to_string()));
        self
    }

    /// The same failure as one that was found before anything ran.
    pub fn as_usage(mut self) -> Self {
        self.0.class = Class::Usage;
        self
    }

    /// The same error with `change` applied to each of its texts: what, place and hint.
    pub fn with_texts(&self, change: impl Fn(&str) -> String) -> Self {
        let Parts { class, what, place, hint } = &*self.0;
        Error(Box::new(Parts {
            class: *class,
            what: change(what),
            place: place.as_deref().map(&change),
            hint: hint.as_deref().map(&change),
        }))
    }

    pub fn class(&self) -> Class {
        self.0.class
    }

    pub fn what(&self) -> &str {
        &self.0.what
    }

    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.what)?;
        if let Some(hint) = &self.0.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Adds the file to an error of the operating system or of a library.
pub trait AtPath<T> {
    /// `action` is a verb phrase: "read", "create the folder".
    fn at_path(self, action: &str, path: &Path) -> Result<T>;
}

impl<T, E: fmt::Display> AtPath<T> for std::result::Result<T, E> {
    fn at_path(self, action: &str, path: &Path) -> Result<T> {
        self.map_err(|error| {
            let text = error.to_string();
            let error = Error::failure(format!("cannot {action}: {text}")).at_path(path);
            if text.contains("No space left") {
                error.hint(
                    "free some room on this disk and run the same command again; finished stages \
                     are kept",
                )
            } else {
                error
            }
        })
    }
}
