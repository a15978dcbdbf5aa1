//! Topics of documents: latent Dirichlet allocation by collapsed Gibbs sampling.
//!
//! Every word of every document is assigned to a topic, and drawn anew, given all others, with
//! probability in proportion to
//!
//! > (n(document, topic) + alpha) (n(word, topic) + beta) / (n(topic) + vocabulary x beta)
//!
//! (Griffiths and Steyvers, PNAS 2004). The counts n(word, topic) are shared: one `i64` table whose
//! row w holds them for word w, its last row n(topic). Assignments and n(document, topic) stay with
//! the worker that has the document, who needs them alone. A batch pulls the rows of its words,
//! samples its documents against them, counting its own changes at once, and pushes the changes,
//! which are added up: what others change meanwhile is seen at the next tick (AD-LDA: Newman et
//! al., JMLR 2009). Sums of whole numbers have no order, so counts are exact under any policy.
//! The first time that a batch comes up, its words have no topics yet and are drawn given what is
//! there.
//!
//! The table is sparse by default, so that a batch moves the rows of its words and no others. On
//! KOS with 50 topics a batch of 32 documents names some 2,100 of 6,907 rows, a third of the table.
//!
//! Counts that a policy shows too low, below 0 even, count as 0 where something is drawn or judged.

use archipelago::key::{Key, KeyRange};
use archipelago::rng::Rng;
use archipelago::{Hyper, Layout, Result, Table, TableSpec, Worker};

use crate::course::{Course, Step};
use crate::data::{Documents, Share};
use crate::named::Named;
use crate::train::{OnProgress, Pace, TrainReport, check_tables};

mod judge;

pub use judge::{HeldOut, evaluate, log_likelihood};

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The table's name. Default "topics".
    pub name: String,
    /// Steps and length. Default batches of 32 documents, 40 passes.
    pub pace: Pace,
    /// How many topics. Default 50.
    pub topics: u32,
    /// The prior of a document's topics, for each. Default 0.1.
    pub alpha: f32,
    /// The prior of a topic's words, for each. Default 0.1.
    pub beta: f32,
    /// How rows come to exist. Default sparse: a batch moves the rows of its words. Dense: every
    /// batch moves all.
    pub layout: Layout,
    /// Elements of a block, where the layout is dense. Default 65,536.
    pub block_elements: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "topics".into(),
            pace: Pace::new(32, 40),
            topics: 50,
            alpha: 0.1,
            beta: 0.1,
            layout: Layout::Sparse,
            block_elements: archipelago::limits::BLOCK_ELEMENTS_MAX,
        }
    }
}

impl Config {
    /// The table for a vocabulary of that many words, whatever the number of workers.
    pub fn tables(&self, vocabulary: u64) -> Vec<(TableSpec, Hyper)> {
        let domain = KeyRange::new(Key(0), Key(vocabulary)).unwrap_or(KeyRange::single(Key(0)));
        let mut spec = TableSpec::sparse(&self.name, self.topics)
            .domain(domain)
            .dtype::<i64>()
            .block_elements(self.block_elements);
        spec.layout = self.layout;
        vec![(spec, Hyper::default())]
    }
}

/// Trains on this worker's share of the documents, then leaves the group. The loss in reports is
/// the mean over documents of -ln p(word) per word, each before it was drawn, in nats.
///
/// `tables` are those of [`Config::tables`].
///
/// # Errors
/// `Field` when the tables are not those of the config and data; those of the worker.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn is not known to be Send where the worker's type is concrete"
)]
pub fn train<'a, W: Worker>(
    me: &'a W,
    tables: &'a [Table],
    share: &'a Share<'a, Documents>,
    config: &'a Config,
    progress: OnProgress<'a>,
) -> impl Future<Output = Result<TrainReport>> + Send {
    async move {
        let vocabulary = share.data().vocabulary();
        check_tables(tables, &config.tables(vocabulary))?;
        let mut sampler = Sampler::new(config, vocabulary, share.rank());
        let (mut bags, mut counts, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        let mut course = Course::new(me, share, &config.pace, progress);
        while let Some(batch) = course.next_batch() {
            let mut step = Step::default();
            if let (false, Some(table)) = (batch.rows.is_empty(), tables.first()) {
                let make = |rows: &[usize]| Bag::new(share.data(), rows, config.layout);
                let bag = batch.derived(&mut bags, make)?;
                counts.resize(bag.named.len() * config.topics as usize, 0);
                step.seen = Some(me.pull(table, bag.named.selection(), &mut counts).await?);
                changes.clear();
                changes.resize(counts.len(), 0);
                step.loss = sampler.sweep(bag, &counts, &mut changes);
                course.compute(sampler.flops(bag)).await;
                me.push(table, bag.named.selection(), &changes).await?;
            }
            course.end_iteration(step).await?;
        }
        course.finish(tables).await
    }
}

/// The documents of one batch, word by word.
struct Bag {
    /// Their words, then the row of totals.
    named: Named,
    /// For every word, document by document, where its row lies.
    places: Vec<u32>,
    /// The topic of every word; none before the first sweep.
    topics: Vec<u32>,
    /// Where every document ends.
    ends: Vec<usize>,
}

impl Bag {
    fn new(data: &Documents, documents: &[usize], layout: Layout) -> Result<Self> {
        let words = documents.iter().flat_map(|&index| data.document(index).words);
        let keys = words.map(|&word| u64::from(word)).chain([data.vocabulary()]);
        let named = Named::new(layout, data.vocabulary() + 1, keys)?;
        let (mut places, mut ends) = (Vec::new(), Vec::new());
        for document in documents.iter().map(|&index| data.document(index)) {
            for (&word, &count) in document.words.iter().zip(document.counts) {
                places.extend(std::iter::repeat_n(named.place(word.into()), count as usize));
            }
            ends.push(places.len());
        }
        Ok(Self { named, places, topics: Vec::new(), ends })
    }
}

/// Draws topics; holds what is needed for one batch, so that nothing is allocated per word.
struct Sampler {
    topics: usize,
    alpha: f32,
    beta: f32,
    /// beta, for every word of the vocabulary.
    beta_sum: f32,
    rng: Rng,
    /// n(word, topic) of the batch's words as they change, row by row, then the totals n(topic).
    /// Whole numbers up to 2^24 are exact.
    counts: Vec<f32>,
    /// 1 / (n(topic) + `beta_sum`).
    scales: Vec<f32>,
    /// n(document, topic) of the document at hand.
    document: Vec<f32>,
    /// Sums of the weights of topics up to each.
    sums: Vec<f32>,
}

impl Sampler {
    fn new(config: &Config, vocabulary: u64, rank: u32) -> Self {
        let topics = config.topics as usize;
        Self {
            topics,
            alpha: config.alpha,
            beta: config.beta,
            beta_sum: config.beta * vocabulary as f32,
            rng: Rng::named(config.pace.seed, &format!("topics of worker {rank}")),
            counts: Vec::new(),
            scales: vec![0.0; topics],
            document: vec![0.0; topics],
            sums: vec![0.0; topics],
        }
    }

    /// Draws every word of a batch once, given `counts`, and adds up the `changes` of its rows.
    /// Returns the loss of every document per word, summed over documents.
    fn sweep(&mut self, bag: &mut Bag, counts: &[i64], changes: &mut [i64]) -> f64 {
        self.counts.clear();
        self.counts.extend(counts.iter().map(|&count| count as f32));
        for topic in 0..self.topics {
            self.rescale(topic);
        }
        let known = !bag.topics.is_empty();
        bag.topics.resize(bag.places.len(), 0);
        let (mut begin, mut loss) = (0, 0.0);
        for &end in &bag.ends {
            let (places, topics) = (&bag.places[begin..end], &mut bag.topics[begin..end]);
            loss += self.draw_document(places, topics, known, changes) / places.len() as f64;
            begin = end;
        }
        loss
    }

    fn draw_document(
        &mut self,
        places: &[u32],
        topics: &mut [u32],
        known: bool,
        changes: &mut [i64],
    ) -> f64 {
        let mut own = 0.0;
        self.document.fill(0.0);
        if known {
            topics.iter().for_each(|&topic| self.document[topic as usize] += 1.0);
            own = topics.len() as f32 - 1.0;
        }
        let priors = self.alpha * self.topics as f32;
        let mut loss = 0.0;
        for (&place, topic) in places.iter().zip(topics) {
            if known {
                self.count(place, *topic, -1, changes);
            }
            let (drawn, sum) = self.draw(place);
            loss -= f64::from(libm::logf(sum / (own + priors)));
            self.count(place, drawn, 1, changes);
            *topic = drawn;
            own += f32::from(!known);
        }
        loss
    }

    /// Draws a topic for a word that is not counted; also the sum of all topics' weights.
    fn draw(&mut self, place: u32) -> (u32, f32) {
        let word = &self.counts[place as usize * self.topics..][..self.topics];
        let factors = self.document.iter().zip(word).zip(&self.scales);
        for (weight, ((&own, &count), &scale)) in self.sums.iter_mut().zip(factors) {
            *weight = (own + self.alpha) * (count.max(0.0) + self.beta) * scale;
        }
        let mut sum = 0.0;
        for weight in &mut self.sums {
            sum += *weight;
            *weight = sum;
        }
        let target = self.rng.unit() as f32 * sum;
        let drawn = self.sums.partition_point(|&sum| sum <= target);
        (drawn.min(self.topics - 1) as u32, sum)
    }

    /// Counts a word once more, or once less.
    fn count(&mut self, place: u32, topic: u32, change: i8, changes: &mut [i64]) {
        let (own, topic) = (f32::from(change), topic as usize);
        let cell = place as usize * self.topics + topic;
        let total = self.counts.len() - self.topics + topic;
        self.counts[cell] += own;
        self.counts[total] += own;
        self.document[topic] += own;
        changes[cell] += i64::from(change);
        changes[total] += i64::from(change);
        self.rescale(topic);
    }

    fn rescale(&mut self, topic: usize) {
        let total = self.counts[self.counts.len() - self.topics + topic];
        self.scales[topic] = 1.0 / (total.max(0.0) + self.beta_sum);
    }

    /// Six per word and topic.
    fn flops(&self, bag: &Bag) -> u64 {
        6 * (bag.places.len() * self.topics) as u64
    }
}

#[cfg(test)]
mod tests;
