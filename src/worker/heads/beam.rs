//! Beam search: the most probable sentences, found by keeping the best few beginnings of each
//! frame.

use surgcam_frames::language::vocabulary::{END, START};

/// A sentence that is continued: its row in the call before (in the first call, its frame), and the
/// word that it got there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    pub parent: usize,
    pub word: usize,
}

/// A model that predicts the next word.
pub trait NextWords {
    /// The log-probabilities of the word behind each row [rows, words], row by row. The rows'
    /// parents are the rows of the last call.
    fn log_probabilities(&mut self, rows: &[Row]) -> Vec<f32>;
}

/// The words without start and end, and the sum of their log-probabilities, including that of the
/// end.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    pub words: Vec<usize>,
    pub log_probability: f64,
    /// Whether the end was chosen. Otherwise the sentence was cut off at the greatest length.
    pub has_ended: bool,
}

/// The beginning of a sentence, or a whole sentence.
#[derive(Debug, Clone)]
struct Beginning {
    sentence: Sentence,
    /// `None`: it has ended.
    row: Option<Row>,
}

/// The best `beam` sentences of each frame, the best first; each has at most `longest` words. A
/// beam of 1 takes the most probable word each time.
pub fn search(
    model: &mut impl NextWords,
    frames: usize,
    beam: usize,
    longest: usize,
) -> Vec<Vec<Sentence>> {
    let start = |frame| Beginning {
        sentence: Sentence { words: Vec::new(), log_probability: 0.0, has_ended: false },
        row: Some(Row { parent: frame, word: START }),
    };
    let mut beginnings: Vec<Vec<Beginning>> = (0..frames).map(|frame| vec![start(frame)]).collect();
    for _ in 0..longest {
        let rows: Vec<Row> =
            beginnings.iter().flatten().filter_map(|beginning| beginning.row).collect();
        if rows.is_empty() {
            break;
        }
        let all = model.log_probabilities(&rows);
        let mut next = all.chunks(all.len() / rows.len()).enumerate();
        for of_frame in &mut beginnings {
            *of_frame = longer(std::mem::take(of_frame), &mut next, beam);
        }
    }
    beginnings
        .into_iter()
        .map(|of_frame| of_frame.into_iter().map(|beginning| beginning.sentence).collect())
        .collect()
}

/// The best continuations of a frame's beginnings. Sentences that have ended stay as they are.
/// `next` has a row with the log-probabilities of all words for each beginning that is continued.
fn longer<'a>(
    beginnings: Vec<Beginning>,
    next: &mut impl Iterator<Item = (usize, &'a [f32])>,
    beam: usize,
) -> Vec<Beginning> {
    let mut longer: Vec<Beginning> = Vec::new();
    for beginning in beginnings {
        if beginning.row.is_none() {
            longer.push(beginning);
            continue;
        }
        let Some((row, log_probabilities)) = next.next() else { continue };
        for word in best_words(log_probabilities, beam) {
            let mut sentence = beginning.sentence.clone();
            sentence.log_probability += f64::from(log_probabilities[word]);
            let is_end = word == END;
            sentence.has_ended = is_end;
            if !is_end {
                sentence.words.push(word);
            }
            longer
                .push(Beginning { sentence, row: (!is_end).then_some(Row { parent: row, word }) });
        }
    }
    // Stable: of equals the one that was found first.
    longer.sort_by(|a, b| b.sentence.log_probability.total_cmp(&a.sentence.log_probability));
    longer.truncate(beam);
    longer
}

/// The places of the `count` highest values, the highest first.
fn best_words(log_probabilities: &[f32], count: usize) -> Vec<usize> {
    let mut words: Vec<usize> = (0..log_probabilities.len())
        .filter(|&word| log_probabilities[word] > f32::NEG_INFINITY)
        .collect();
    let falling = |a: &usize, b: &usize| {
        log_probabilities[*b].total_cmp(&log_probabilities[*a]).then(a.cmp(b))
    };
    if count < words.len() {
        words.select_nth_unstable_by(count, falling);
        words.truncate(count);
    }
    words.sort_by(falling);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use surgcam_frames::random::stream;

    const WORDS: usize = 6;

    /// The next word depends on the frame and the two words before.
    struct Table {
        probabilities: Vec<f32>,
        rows: Vec<(usize, usize, usize)>,
    }

    impl Table {
        fn random(frames: usize, seed: &str) -> Self {
            let mut stream = stream(seed);
            let mut probabilities = vec![0f32; frames * WORDS * WORDS * WORDS];
            for row in probabilities.chunks_mut(WORDS) {
                row.iter_mut().for_each(|value| *value = stream.random_range(0.05..1.0));
                (row[0], row[START]) = (0.0, 0.0);
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|value| *value = (*value / sum).ln());
            }
            Table { probabilities, rows: Vec::new() }
        }

        fn of(&self, (frame, before, last): (usize, usize, usize)) -> &[f32] {
            &self.probabilities[((frame * WORDS + before) * WORDS + last) * WORDS..][..WORDS]
        }

        /// Every sentence of at most `longest` words, by brute force.
        fn all(&self, frame: usize, longest: usize) -> Vec<Sentence> {
            let mut done = Vec::new();
            let mut open = vec![(
                Sentence { words: vec![], log_probability: 0.0, has_ended: false },
                0,
                START,
            )];
            for _ in 0..longest {
                let mut longer = Vec::new();
                for (sentence, before, last) in &open {
                    for (word, &log_probability) in
                        self.of((frame, *before, *last)).iter().enumerate()
                    {
                        let mut words = sentence.words.clone();
                        let log_probability = sentence.log_probability + f64::from(log_probability);
                        if word == END {
                            done.push(Sentence { words, log_probability, has_ended: true });
                        } else if log_probability.is_finite() {
                            words.push(word);
                            longer.push((
                                Sentence { words, log_probability, has_ended: false },
                                *last,
                                word,
                            ));
                        }
                    }
                }
                open = longer;
            }
            done.extend(open.into_iter().map(|(sentence, ..)| sentence));
            done.sort_by(|a, b| b.log_probability.total_cmp(&a.log_probability));
            done
        }
    }

    impl NextWords for Table {
        fn log_probabilities(&mut self, rows: &[Row]) -> Vec<f32> {
            let follow = |row: &Row| match self.rows.get(row.parent) {
                Some(&(frame, _, last)) if row.word != START => (frame, last, row.word),
                _ => (row.parent, 0, row.word),
            };
            self.rows = rows.iter().map(follow).collect();
            self.rows.iter().flat_map(|&row| self.of(row).to_vec()).collect()
        }
    }

    #[test]
    fn a_wide_beam_finds_what_trying_every_sentence_finds() {
        for seed in 0..5 {
            let mut table = Table::random(3, &format!("beam/{seed}"));
            let found = search(&mut table, 3, 200, 4);
            for (frame, found) in found.iter().enumerate() {
                let all = table.all(frame, 4);
                for (found, expected) in found.iter().zip(&all).take(20) {
                    assert!((found.log_probability - expected.log_probability).abs() < 1e-6);
                }
                assert_eq!(found[0].words, all[0].words);
            }
        }
    }

    #[test]
    fn a_beam_of_one_is_greedy() {
        let mut table = Table::random(4, "greedy");
        let found = search(&mut table, 4, 1, 7);
        for (frame, found) in found.iter().enumerate() {
            let (mut words, mut before, mut last) = (Vec::new(), 0, START);
            while words.len() < 7 {
                let row = table.of((frame, before, last));
                let best = (0..WORDS).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
                if best == END {
                    break;
                }
                words.push(best);
                (before, last) = (last, best);
            }
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].words, words);
        }
    }

    #[test]
    fn sentences_are_sorted_and_a_longer_search_is_no_worse() {
        let best = |beam| search(&mut Table::random(1, "wider"), 1, beam, 5)[0].clone();
        let five = best(5);
        assert!(five.windows(2).all(|pair| pair[0].log_probability >= pair[1].log_probability));
        assert!(best(300)[0].log_probability >= five[0].log_probability);
    }
}
