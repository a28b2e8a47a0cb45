//! What is remembered for a while.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Most values that are remembered; when there are more, all are forgotten.
const MAX: usize = 1000;

/// Values by key, each until its time.
pub struct Kept<K, V>(Mutex<HashMap<K, (V, u64)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    pub fn get(&self, key: &K, now: u64) -> Option<V> {
        self.values().get(key).filter(|(_, until)| *until > now).map(|(value, _)| value.clone())
    }

    /// Keeps a value until then, in Unix seconds.
    pub fn put(&self, key: K, value: V, until: u64) {
        let mut values = self.values();
        if values.len() >= MAX {
            values.clear();
        }
        values.insert(key, (value, until));
    }

    /// A panic leaves it usable: it is changed in single steps.
    fn values(&self) -> MutexGuard<'_, HashMap<K, (V, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_until_its_time_and_there_are_never_too_many() {
        let kept = Kept::default();
        kept.put(0, 'a', 60);
        assert_eq!(kept.get(&0, 59), Some('a'));
        assert_eq!(kept.get(&0, 60), None);
        for key in 1..=MAX {
            kept.put(key, 'b', 60);
            assert!(kept.values().len() <= MAX);
        }
        assert_eq!((kept.get(&0, 0), kept.get(&MAX, 0)), (None, Some('b')));
    }
}
