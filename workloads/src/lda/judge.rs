//! How good topics are: the likelihood of words that were, and of words that were not, trained on.

use super::Config;
use crate::data::{Document, Documents};

/// How well topics foretell words of documents that they were not trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// Words that were foretold.
    pub tokens: u64,
    /// The mean of ln p(word) over them, in nats. Higher is better.
    pub log_likelihood: f64,
}

impl HeldOut {
    /// e to the power of minus the mean log-likelihood: among how many equally likely words each
    /// would be as hard to foretell. Lower is better.
    pub fn perplexity(&self) -> f64 {
        libm::exp(-self.log_likelihood)
    }
}

/// Steps in which a document's topics are estimated.
const STEPS: usize = 20;

/// Foretells one half of every document's words from the other half: document completion
/// (Wallach et al., ICML 2009; the estimate of Asuncion et al., UAI 2009).
///
/// phi(word, topic) = (n(word, topic) + beta) / (n(topic) + vocabulary x beta), with n(topic)
/// summed from the rows. theta(topic) of a document maximises the likelihood of its words at even
/// places, smoothed by alpha, in 20 steps of expectation and maximisation. Judged is the mean over
/// the words at odd places of ln sum of theta(topic) x phi(word, topic).
///
/// It needs the counts alone, so any copy of the table is judged at any tick, and is the same
/// whoever has drawn what. `counts` are the rows of the table, row by row.
///
/// # Panics
/// When the counts are not (vocabulary + 1) x topics.
pub fn evaluate(counts: &[i64], data: &Documents, config: &Config) -> HeldOut {
    let judge = Judge::new(counts, data.vocabulary(), config);
    let (mut tokens, mut sum) = (0, 0.0);
    for document in (0..data.count()).map(|index| data.document(index)) {
        let (judged, likelihood) = judge.complete(document);
        tokens += judged;
        sum += likelihood;
    }
    HeldOut { tokens, log_likelihood: sum / tokens.max(1) as f64 }
}

/// ln p(all words trained on, given their topics), in nats: equation 2 of Griffiths and Steyvers,
/// PNAS 2004. What a Gibbs sampler raises until it converges; it grows with the number of words, so
/// it compares only counts of the same documents, each drawn once at least.
///
/// > sum over topics of ln Gamma(vocabulary beta) - vocabulary ln Gamma(beta)
/// > + sum over words of ln Gamma(n(word, topic) + beta) - ln Gamma(n(topic) + vocabulary beta)
///
/// # Panics
/// When the counts are not (vocabulary + 1) x topics.
pub fn log_likelihood(counts: &[i64], vocabulary: u64, config: &Config) -> f64 {
    let (beta, topics) = (f64::from(config.beta), config.topics as usize);
    check(counts, vocabulary, config);
    let prior = libm::lgamma(beta);
    let mut sum = topics as f64 * libm::lgamma(vocabulary as f64 * beta);
    let mut totals = vec![0; topics];
    for row in counts.chunks_exact(topics).take(vocabulary as usize) {
        for (total, &count) in totals.iter_mut().zip(row) {
            if count > 0 {
                sum += libm::lgamma(count as f64 + beta) - prior;
                *total += count;
            }
        }
    }
    let ends = totals.iter().map(|&total| libm::lgamma(total as f64 + vocabulary as f64 * beta));
    sum - ends.sum::<f64>()
}

fn check(counts: &[i64], vocabulary: u64, config: &Config) {
    let expected = u128::from(vocabulary + 1) * u128::from(config.topics);
    assert_eq!(counts.len() as u128, expected, "(vocabulary + 1) x topics");
}

struct Judge<'a> {
    counts: &'a [i64],
    topics: usize,
    alpha: f64,
    beta: f64,
    /// 1 / (n(topic) + vocabulary x beta).
    scales: Vec<f64>,
}

impl<'a> Judge<'a> {
    fn new(counts: &'a [i64], vocabulary: u64, config: &Config) -> Self {
        check(counts, vocabulary, config);
        let (topics, beta) = (config.topics as usize, f64::from(config.beta));
        let mut totals = vec![0; topics];
        for row in counts.chunks_exact(topics).take(vocabulary as usize) {
            for (total, &count) in totals.iter_mut().zip(row) {
                *total += count.max(0);
            }
        }
        let scale = |total| 1.0 / (total as f64 + vocabulary as f64 * beta);
        let scales = totals.into_iter().map(scale).collect();
        Self { counts, topics, alpha: config.alpha.into(), beta, scales }
    }

    /// How many words were judged, and the sum of their log-likelihoods.
    fn complete(&self, document: Document<'_>) -> (u64, f64) {
        let chances: Vec<f64> =
            document.words.iter().flat_map(|&word| self.chances(word)).collect();
        let (mut seen, mut judged) = (Vec::new(), Vec::new());
        let mut place = 0;
        for &count in document.counts {
            let count = u64::from(count);
            let odd = (place + count) / 2 - place / 2;
            seen.push((count - odd) as f64);
            judged.push(odd);
            place += count;
        }
        let theta = self.mixture(&chances, &seen);
        let mut sum = 0.0;
        for (&count, chances) in judged.iter().zip(chances.chunks_exact(self.topics)) {
            if count > 0 {
                let chance: f64 = theta.iter().zip(chances).map(|(a, b)| a * b).sum();
                sum += count as f64 * libm::log(chance);
            }
        }
        (judged.iter().sum(), sum)
    }

    /// phi of a word, by topic.
    fn chances(&self, word: u32) -> impl Iterator<Item = f64> {
        let row = &self.counts[word as usize * self.topics..][..self.topics];
        row.iter().zip(&self.scales).map(|(&n, scale)| (n.max(0) as f64 + self.beta) * scale)
    }

    /// theta of a document with so many words of each kind.
    fn mixture(&self, chances: &[f64], seen: &[f64]) -> Vec<f64> {
        let words: f64 = seen.iter().sum();
        let whole = words + self.alpha * self.topics as f64;
        let mut theta = vec![1.0 / self.topics as f64; self.topics];
        let mut next = theta.clone();
        for _ in 0..STEPS {
            next.fill(self.alpha / whole);
            for (&count, chances) in seen.iter().zip(chances.chunks_exact(self.topics)) {
                let chance: f64 = theta.iter().zip(chances).map(|(a, b)| a * b).sum();
                let part = count / (whole * chance);
                for ((next, theta), chance) in next.iter_mut().zip(&theta).zip(chances) {
                    *next += part * theta * chance;
                }
            }
            std::mem::swap(&mut theta, &mut next);
        }
        theta
    }
}
