//! Topics of made-up documents, whose counts and likelihoods are known. No real data.

use super::*;
use crate::testing;
use crate::train::Values;
use archipelago::embed::EmbedWorker;
use archipelago::id::Rank;

const WORDS: u64 = 30;

/// Documents of 24 words each from one of three topics, which hold ten words of their own.
fn documents(count: u64, seed: u64) -> Documents {
    let mut rng = Rng::new(seed);
    let (mut lines, mut entries) = (String::new(), 0);
    for document in 0..count {
        let mut counts = [0_u32; WORDS as usize];
        for _ in 0..24 {
            counts[(document % 3 * 10 + rng.below(10)) as usize] += 1;
        }
        for (word, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            lines.push_str(&format!("{} {} {count}\n", document + 1, word + 1));
            entries += 1;
        }
    }
    let text = format!("{count}\n{WORDS}\n{entries}\n{lines}");
    Documents::read_docword("documents", text.as_bytes()).unwrap()
}

fn config() -> Config {
    Config { topics: 5, pace: Pace::new(4, 30), ..Config::default() }
}

fn trained(data: &Documents, config: &Config, workers: u32) -> (Vec<i64>, Vec<TrainReport>) {
    let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, Documents>| {
        train(me, tables, share, config, &|_| {}).await
    };
    let tables = config.tables(data.vocabulary());
    let (values, reports) = testing::trained_elements(data, tables, workers, train);
    (values, reports.into_iter().map(Result::unwrap).collect())
}

#[test]
fn topics_are_found_and_every_word_is_counted_once() {
    let (data, test) = (documents(60, 1), documents(30, 2));
    let mut config = config();
    config.pace.final_model = Some(Rank(0));
    for workers in [1, 3] {
        let (counts, reports) = trained(&data, &config, workers);
        assert_eq!(reports[0].model, Some(Values::I64(counts.clone())));
        assert!(reports[0].last_loss < reports[0].first_loss - 0.2, "{reports:?}");
        let mut words = vec![0; WORDS as usize];
        for document in (0..data.count()).map(|index| data.document(index)) {
            for (&word, &count) in document.words.iter().zip(document.counts) {
                words[word as usize] += i64::from(count);
            }
        }
        let (rows, totals) = counts.split_at(WORDS as usize * 5);
        let sums: Vec<i64> = rows.chunks(5).map(|row| row.iter().sum()).collect();
        assert_eq!(sums, words);
        let column = |topic| rows.iter().skip(topic).step_by(5).sum::<i64>();
        assert_eq!((0..5).map(column).collect::<Vec<_>>(), totals);
        assert!(rows.iter().all(|&count| count >= 0));
        // A topic known for sure leaves ten equally likely words.
        let found = evaluate(&counts, &test, &config);
        assert!((10.0..11.5).contains(&found.perplexity()), "{found:?}");
    }
}

#[test]
fn the_layout_changes_no_bit_and_runs_repeat() {
    let data = documents(30, 1);
    let mut config = config();
    let (sparse, _) = trained(&data, &config, 3);
    assert_eq!(trained(&data, &config, 3).0, sparse);
    config.layout = Layout::Dense;
    assert_eq!(trained(&data, &config, 3).0, sparse);
    config.pace.seed = 2;
    assert_ne!(trained(&data, &config, 3).0, sparse);
}

#[test]
fn the_likelihoods_rise_while_it_trains() {
    let data = documents(60, 1);
    let after = |epochs| {
        let config = Config { pace: Pace::new(4, epochs), ..config() };
        let counts = trained(&data, &config, 2).0;
        let held_out = evaluate(&counts, &documents(30, 2), &config).log_likelihood;
        (log_likelihood(&counts, WORDS, &config), held_out)
    };
    let (first, last) = (after(1), after(30));
    assert!(last.0 > first.0 + 100.0 && last.1 > first.1 + 0.05, "{first:?} {last:?}");
}

#[test]
fn draws_have_the_probabilities_of_the_formula() {
    let config = Config { topics: 3, alpha: 0.5, beta: 0.25, ..Config::default() };
    let mut sampler = Sampler::new(&config, 4, 0);
    // One word's row, then the totals.
    sampler.counts = vec![3.0, 0.0, 7.0, 10.0, 4.0, 9.0];
    sampler.document = vec![1.0, 2.0, 0.0];
    (0..3).for_each(|topic| sampler.rescale(topic));
    let weights = [1.5 * 3.25 / 11.0, 2.5 * 0.25 / 5.0, 0.5 * 7.25 / 10.0];
    let sum: f64 = weights.iter().sum();
    let mut drawn = [0.0; 3];
    for _ in 0..30_000 {
        let (topic, found) = sampler.draw(0);
        drawn[topic as usize] += 1.0 / 30_000.0;
        assert!((f64::from(found) - sum).abs() < 1e-6);
    }
    for (drawn, weight) in drawn.iter().zip(weights) {
        assert!((drawn - weight / sum).abs() < 0.01, "{drawn} {}", weight / sum);
    }
}

#[test]
fn counts_below_zero_count_as_none() {
    let config = Config { topics: 2, ..Config::default() };
    let data = documents(3, 1);
    let mut counts = vec![1; 62];
    let good = (evaluate(&counts, &data, &config), log_likelihood(&counts, WORDS, &config));
    assert!((good.0.log_likelihood + 30_f64.ln()).abs() < 1e-9, "{good:?}");
    counts[0] = 0;
    let none = (evaluate(&counts, &data, &config), log_likelihood(&counts, WORDS, &config));
    counts[0] = -5;
    let below = (evaluate(&counts, &data, &config), log_likelihood(&counts, WORDS, &config));
    assert_eq!(none, below);
    assert_ne!(none, good);
}

/// Two words, one topic: the sequential predictions of Polya's urn multiply to the same.
#[test]
fn the_log_likelihood_is_that_of_an_urn() {
    let config = Config { topics: 1, beta: 0.5, ..Config::default() };
    let urn: f64 = [0.5 / 1.0, 1.5 / 2.0, 0.5 / 3.0].iter().map(|chance: &f64| chance.ln()).sum();
    let found = log_likelihood(&[2, 1, 3], 2, &config);
    assert!((found - urn).abs() < 1e-9, "{found} {urn}");
}
