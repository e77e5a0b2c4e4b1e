//! All caption scores of a set of frames.

use serde::{Deserialize, Serialize};

use super::{bleu, cider, meteor, rouge};

/// The caption that a captioner gives a frame, and the captions that people gave it. Each is a list
/// of words.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub candidate: Vec<String>,
    pub references: Vec<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaptionScores {
    /// BLEU-1, BLEU-2, BLEU-3 and BLEU-4.
    pub bleu: [f64; 4],
    pub meteor: f64,
    pub rouge_l: f64,
    pub cider: f64,
}

/// The scores of a set of frames. Without a frame they are all 0.
pub fn score(judged: &[Judged]) -> CaptionScores {
    CaptionScores {
        bleu: bleu::bleu(judged),
        meteor: meteor::meteor(judged),
        rouge_l: rouge::rouge_l(judged),
        cider: cider::cider(judged),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokenize;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_frames_score_zero() {
        assert_eq!(
            score(&[]),
            CaptionScores { bleu: [0.0; 4], meteor: 0.0, rouge_l: 0.0, cider: 0.0 }
        );
    }

    proptest! {
        #[test]
        fn a_caption_agrees_with_itself_and_no_text_breaks_a_score(
            text in "[a-z ]{0,40}",
            other in ".{0,40}",
        ) {
            let (own, other) = (tokenize(&text), tokenize(&other));
            let judge = |candidate: &Vec<String>, reference: &Vec<String>| {
                let references = vec![reference.clone()];
                score(&[Judged { candidate: candidate.clone(), references }])
            };
            let found = judge(&other, &own);
            prop_assert!(found.meteor <= 1.0 + 1e-9 && found.rouge_l <= 1.0 + 1e-9);
            prop_assert!(found.bleu.iter().all(|bleu| (0.0..=1.0 + 1e-6).contains(bleu)));
            if own.len() >= 4 {
                let found = judge(&own, &own);
                prop_assert!((found.bleu[3] - 1.0).abs() < 1e-6);
                prop_assert!((found.rouge_l - 1.0).abs() < 1e-9);
                prop_assert!((found.meteor - 1.0).abs() < 1e-9);
            }
        }
    }
}
