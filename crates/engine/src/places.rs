//! Places of runs in memory, and whose they are: one recipe's flood never takes the last one.
//!
//! A recipe may take another place while it has fewer than `share` times as many as are free. With a share of 3 it
//! comes to three quarters of them alone, so that whoever comes along finds one free; as their runs end, several
//! that flood at once come to equal parts.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use store::RecipeId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// All places of a process.
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// Places of one recipe for each that is free.
    share: usize,
    /// The recipes whose runs, and no others, the last claim left in the store; `None` when it may have left any.
    left_behind: Mutex<Option<Vec<RecipeId>>>,
    held: Mutex<HashMap<RecipeId, Held>>,
}

/// What one recipe has.
#[derive(Default)]
struct Held {
    count: usize,
    /// Wakes somebody who waits for a place of this recipe.
    less: Arc<Notify>,
}

/// A place in memory that nobody's run has yet.
pub(crate) struct Free(OwnedSemaphorePermit);

/// A run's place, given back when it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    recipe: RecipeId,
    _free: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(count: usize, share: usize) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(count));
        Arc::new(Self { free, share: share.max(1), left_behind: Mutex::default(), held: Mutex::default() })
    }

    /// A place for whichever run is claimed next.
    pub(crate) fn try_free(&self) -> Option<Free> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(Free)
    }

    /// A place for a claimed run. The claim left out recipes that have their share.
    pub(crate) fn give(self: &Arc<Self>, free: Free, recipe: RecipeId) -> Place {
        self.held.lock().entry(recipe).or_default().count += 1;
        Place { places: Arc::clone(self), recipe, _free: free.0 }
    }

    /// Waits for a place that the recipe may have.
    pub(crate) async fn take(self: &Arc<Self>, recipe: RecipeId) -> Option<Place> {
        loop {
            let free = Arc::clone(&self.free).acquire_owned().await.ok()?;
            let less = {
                let mut held = self.held.lock();
                let mine = held.entry(recipe).or_default();
                // The one just taken was free, too.
                if self.within(mine.count, self.free.available_permits() + 1) {
                    mine.count += 1;
                    return Some(Place { places: Arc::clone(self), recipe, _free: free });
                }
                Arc::clone(&mine.less)
            };
            drop(free);
            less.notified().await;
        }
    }

    /// The recipes that have their share, and how many places one claim may fill so that no other gets more than
    /// its own: all of them may turn out to be of one recipe. `taken` places are about to be given away and count
    /// as free.
    pub(crate) fn busy(&self, taken: usize) -> (Vec<RecipeId>, usize) {
        let free = self.free.available_permits() + taken;
        let held = self.held.lock();
        let busy = held.iter().filter(|(_, held)| !self.within(held.count, free)).map(|(recipe, _)| *recipe).collect();
        let most = held.values().map(|held| held.count).filter(|count| self.within(*count, free)).max().unwrap_or(0);
        (busy, (free * self.share).saturating_sub(most).div_euclid(self.share + 1).max(1))
    }

    /// The last claim left nothing behind but runs of these recipes, which had their share; or, with `None`, anything.
    pub(crate) fn left_behind(&self, recipes: Option<Vec<RecipeId>>) {
        *self.left_behind.lock() = recipes;
    }

    /// Whether a run of the recipe need not wait behind those in the store: none is its own or may go before it.
    pub(crate) fn only_others_wait(&self, recipe: RecipeId) -> bool {
        let free = self.free.available_permits();
        self.left_behind.lock().as_ref().is_some_and(|recipes| !recipes.contains(&recipe))
            && self.within(self.held.lock().get(&recipe).map_or(0, |held| held.count), free)
    }

    const fn within(&self, held: usize, free: usize) -> bool {
        held < free.saturating_mul(self.share)
    }

    /// Waits until all are free, and keeps them.
    pub(crate) async fn all(&self, count: usize) {
        if let Ok(all) = self.free.acquire_many(u32::try_from(count).unwrap_or(u32::MAX)).await {
            all.forget();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock();
        if let Some(mine) = held.get_mut(&self.recipe) {
            mine.count = mine.count.saturating_sub(1);
            mine.less.notify_one();
            // Whoever waits holds it, too, and counts on being woken by the next who leaves.
            if mine.count == 0 && Arc::strong_count(&mine.less) == 1 {
                held.remove(&self.recipe);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    fn recipe(number: u128) -> RecipeId {
        RecipeId(Uuid::from_u128(number))
    }

    fn take_all(places: &Arc<Places>, recipe: RecipeId) -> Vec<Place> {
        std::iter::from_fn(|| places.take(recipe).now_or_never().flatten()).collect()
    }

    #[test]
    fn one_recipe_leaves_a_quarter_to_others() {
        let places = Places::new(256, 3);
        let flood = take_all(&places, recipe(1));
        assert_eq!(flood.len(), 192);
        assert_eq!(places.busy(0), (vec![recipe(1)], 48));
        assert!(!places.only_others_wait(recipe(2)), "nothing was claimed yet");
        places.left_behind(Some(vec![recipe(1)]));
        assert!(!places.only_others_wait(recipe(1)) && places.only_others_wait(recipe(2)));
        assert!(places.take(recipe(2)).now_or_never().flatten().is_some());
        drop(flood);
        assert!(!places.only_others_wait(recipe(1)), "its own older runs wait");
        assert_eq!(places.busy(0), (Vec::new(), 192));
    }

    #[test]
    fn whoever_comes_along_finds_a_place_beside_several_floods() {
        let places = Places::new(256, 3);
        let floods: Vec<Vec<Place>> = (0..4).map(|number| take_all(&places, recipe(number))).collect();
        assert!(places.take(recipe(99)).now_or_never().flatten().is_some());
        // Those that came first give way as their runs end.
        assert!(floods[0].len() > floods[1].len());
    }

    #[test]
    fn even_one_place_is_used() {
        let places = Places::new(1, 3);
        let only = places.take(recipe(1)).now_or_never().flatten();
        assert!(only.is_some() && places.take(recipe(2)).now_or_never().flatten().is_none());
        drop(only);
        assert_eq!(places.busy(0), (Vec::new(), 1));
    }

    #[test]
    fn a_claim_that_finds_one_recipe_only_stays_within_its_share() {
        let places = Places::new(256, 3);
        let mut claimed = Vec::new();
        for _ in 0..300 {
            let (busy, each) = places.busy(0);
            if busy.is_empty() {
                let free: Vec<Free> = std::iter::from_fn(|| places.try_free()).take(each.min(64)).collect();
                claimed.extend(free.into_iter().map(|free| places.give(free, recipe(1))));
            }
        }
        assert_eq!(claimed.len(), 192);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_share_is_woken_when_a_run_of_it_ends() {
        let places = Places::new(4, 3);
        let mut flood = take_all(&places, recipe(1));
        assert_eq!(flood.len(), 3);
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take(recipe(1)).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        flood.pop();
        assert!(waiting.await.unwrap());
    }
}
