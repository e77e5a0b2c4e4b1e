//! Parses the XML files of single frames, in a time that their size bounds.
//!
//! The parser compares each attribute of an element with all others of it, and gives each element
//! the namespaces of those around it. A file of 1 MB could keep it busy for hours. Labels do not
//! stand in attributes, and annotation tools declare hardly any namespace.

use std::path::Path;

use roxmltree::Document;

use super::label_file::Lines;
use surgcam_engine::error::{Error, Result};

/// How many attributes, and how many of them that declare a namespace, a file may have.
const LIMITS: [(&str, usize, &str); 2] =
    [("=", 5_000, "attributes"), ("xmlns", 20, "declarations of namespaces")];

/// Parses the text of a file. An error names the line.
pub fn parsed<'a>(text: &'a str, path: &Path) -> Result<Document<'a>> {
    for (mark, most, things) in LIMITS {
        if let Some((place, _)) = text.match_indices(mark).nth(most) {
            let line = Lines::of(text).at(place);
            return Err(Error::failure(format!("the XML has more than {most} {things}"))
                .at(format!("{}:{line}", path.display()))
                .hint("labels are expected in elements, as in <name>hook</name>"));
        }
    }
    Document::parse(text).map_err(|error| {
        Error::failure(format!("cannot understand the XML: {error}")).at(format!(
            "{}:{}",
            path.display(),
            error.pos().row
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_would_keep_the_parser_busy_is_refused_with_its_line() {
        let attributes: String = (0..6_000).map(|number| format!(" a{number}=''")).collect();
        let namespaces: String = (0..30).map(|number| format!("<a xmlns:n{number}='n'>")).collect();
        for (text, said) in [
            (
                format!("<a>\n<b{attributes}/></a>"),
                "f.xml:2: the XML has more than 5000 attributes",
            ),
            (format!("\n\n{namespaces}"), "f.xml:3: the XML has more than 20 declarations"),
        ] {
            let error = parsed(&text, Path::new("f.xml")).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
        let nested = format!("{}{}", "<a>".repeat(50_000), "</a>".repeat(50_000));
        assert!(parsed(&nested, Path::new("f.xml")).is_ok());
    }
}
