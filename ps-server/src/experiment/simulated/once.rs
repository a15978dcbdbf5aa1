//! What is made once and then kept, whoever asks for it first.

use std::collections::BTreeMap;
use std::sync::Arc;

use archipelago::sync::Mutex;

/// Values by key. Two that ask for the same at the same time wait for one of them to make it;
/// those that ask for different ones do not wait for each other.
#[derive(Debug)]
pub(super) struct Once<K, V> {
    places: Mutex<BTreeMap<K, Place<V>>>,
}

type Place<V> = Arc<Mutex<Option<V>>>;

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self { places: Mutex::default() }
    }
}

impl<K: Ord, V: Clone> Once<K, V> {
    /// The value of a key, made now if it is not there.
    ///
    /// # Errors
    /// Those of `make`, which is asked again the next time.
    pub(super) fn get(
        &self,
        key: K,
        make: impl FnOnce() -> anyhow::Result<V>,
    ) -> anyhow::Result<V> {
        let place = Arc::clone(self.places.lock().entry(key).or_default());
        let mut place = place.lock();
        if let Some(value) = &*place {
            return Ok(value.clone());
        }
        Ok(place.insert(make()?).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_and_a_failure_is_not_kept() {
        let once = Once::default();
        assert!(once.get("a", || anyhow::bail!("not yet")).is_err());
        assert_eq!(once.get("a", || Ok(1)).expect("made"), 1);
        assert_eq!(once.get("a", || anyhow::bail!("made twice")).expect("kept"), 1);
        assert_eq!(once.get("b", || once.get("a", || Ok(2))).expect("no wait"), 1);
    }
}
