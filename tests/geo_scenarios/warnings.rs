//! What is warned of while something runs.

use std::cell::RefCell;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What is logged as a warning meanwhile, in this thread: fields and message, in order.
///
/// One subscriber for all threads: whether something is logged at all is decided once, by whichever
/// thread comes to it first, which may be that of another test.
pub(crate) fn warnings(run: impl FnOnce()) -> Vec<String> {
    // The first one stays.
    let _ = tracing::subscriber::set_global_default(Listener);
    HEARD.set(Some(Vec::new()));
    run();
    HEARD.take().unwrap_or_default()
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        HEARD.with_borrow_mut(|heard| {
            if let Some(heard) = heard {
                let mut fields = Fields(Vec::new());
                event.record(&mut fields);
                heard.push(fields.0.join(", "));
            }
        });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields(Vec<String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push(format!("{field} = {value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push(format!("{field} = {value:?}"));
    }
}
