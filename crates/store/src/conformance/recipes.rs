//! Recipes, versions and what is switched on.

use std::sync::Arc;

use serde_json::json;

use super::{
    Bed,
    parts::{at, recipe, version_of},
};
use crate::{Activated, NewVersion, RecipeId, RecipeRow, Saved, Store};

fn row(saved: Saved) -> RecipeRow {
    match saved {
        Saved::Created(row) | Saved::Updated(row) | Saved::Unchanged(row) | Saved::Stale(row) => row,
    }
}

/// The first text of a slug makes the recipe, switched off.
pub async fn the_first_version(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let new = version_of("orders", "one");
    let Saved::Created(row) = store.save_version(new.clone()).await.unwrap() else { panic!("it did not exist") };
    assert_eq!((row.id, row.slug.as_str(), row.title.as_str()), (new.id, "orders", "The orders"));
    assert_eq!((row.latest_version, row.active_version, row.params.clone()), (1, None, json!({})));
    assert_eq!((row.hook_token.as_str(), row.created_at, row.updated_at), ("token of orders", at(0), at(0)));
    assert_eq!(bed.another().await.recipe("orders").await.unwrap(), Some(row.clone()));
    assert_eq!(store.recipe_by_id(new.id).await.unwrap(), Some(row));
}

/// Another text is the next version; id, token and date of birth stay.
pub async fn the_next_version(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let first = row(store.save_version(version_of("orders", "one")).await.unwrap());
    let next = NewVersion {
        id: RecipeId::new(at(9), [9; 10]),
        title: "New title".to_owned(),
        hook_token: "other".to_owned(),
        if_revision: Some(first.revision),
        at: at(9),
        ..version_of("orders", "two")
    };
    let Saved::Updated(second) = store.save_version(next).await.unwrap() else { panic!("the text is another") };
    assert_eq!((second.id, second.hook_token.clone(), second.created_at), (first.id, first.hook_token, at(0)));
    assert_eq!((second.title.as_str(), second.latest_version, second.updated_at), ("New title", 2, at(9)));
    assert!(second.revision > first.revision);
    assert_eq!(store.recipe("orders").await.unwrap(), Some(second));
}

/// The same text again is no new version.
pub async fn the_same_text_again(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let first = row(store.save_version(version_of("orders", "one")).await.unwrap());
    let again = store.save_version(version_of("orders", "one")).await.unwrap();
    assert_eq!(again, Saved::Unchanged(first.clone()));
    store.save_version(version_of("orders", "two")).await.unwrap();
    let Saved::Updated(third) = store.save_version(version_of("orders", "one")).await.unwrap() else {
        panic!("an older text is a new version")
    };
    assert_eq!(third.latest_version, 3);
}

/// An author who saw an older revision overwrites nothing.
pub async fn a_stale_author(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let first = row(store.save_version(version_of("orders", "one")).await.unwrap());
    let second = row(store.save_version(version_of("orders", "two")).await.unwrap());
    let late = NewVersion { if_revision: Some(first.revision), ..version_of("orders", "three") };
    assert_eq!(store.save_version(late).await.unwrap(), Saved::Stale(second.clone()));
    assert_eq!(store.recipe("orders").await.unwrap(), Some(second));
    assert_eq!(store.versions(first.id).await.unwrap().len(), 2);
}

/// Two authors at once: both texts are kept as versions, or one is told that it was late.
pub async fn two_authors_at_once(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    for number in 0..10 {
        let slug = format!("recipe-{number}");
        let (one, mut two) = (version_of(&slug, "one"), version_of(&slug, "two"));
        two.id = RecipeId::new(at(5), [u8::try_from(number).unwrap(); 10]);
        two.hook_token = format!("other token {number}");
        let (first, second) = tokio::join!(store.save_version(one), other.save_version(two));
        let (first, second) = (first.unwrap(), second.unwrap());
        let created = [&first, &second].iter().filter(|saved| matches!(saved, Saved::Created(_))).count();
        assert_eq!(created, 1, "{first:?} and {second:?}");
        let (first, second) = (row(first), row(second));
        assert_eq!((first.id, first.latest_version + second.latest_version), (second.id, 3));
        // Both saw the same revision: one of them is late.
        let seen = Some(first.revision.max(second.revision));
        let three = NewVersion { if_revision: seen, ..version_of(&slug, "three") };
        let four = NewVersion { if_revision: seen, ..version_of(&slug, "four") };
        let (third, fourth) = tokio::join!(store.save_version(three), other.save_version(four));
        let late = [third.unwrap(), fourth.unwrap()].iter().filter(|saved| matches!(saved, Saved::Stale(_))).count();
        assert_eq!(late, 1);
        assert_eq!(store.versions(first.id).await.unwrap().len(), 3);
    }
}

/// Versions can be read one by one, and listed newest first without their texts.
pub async fn reading_versions(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let id = row(store.save_version(version_of("orders", "one")).await.unwrap()).id;
    store.save_version(NewVersion { at: at(7), by: "bob".to_owned(), ..version_of("orders", "two") }).await.unwrap();
    let second = store.version(id, 2).await.unwrap().unwrap();
    assert_eq!((second.recipe, second.version, second.text.as_str()), (id, 2, "two"));
    assert_eq!((second.hash.as_str(), second.created_at, second.created_by.as_str()), ("hash of two", at(7), "bob"));
    assert_eq!(store.version(id, 3).await.unwrap(), None);
    assert_eq!(store.version(RecipeId::new(at(1), [1; 10]), 1).await.unwrap(), None);
    let list = store.versions(id).await.unwrap();
    assert_eq!(list.iter().map(|version| (version.version, version.text.as_str())).collect::<Vec<_>>(), [(2, ""), (1, "")]);
    assert_eq!((list[1].hash.as_str(), list[1].created_by.as_str()), ("hash of one", "ann"));
}

async fn cursor(store: &dyn Store) -> Option<crate::Timestamp> {
    store.active_recipes().await.unwrap()[0].schedule_cursor
}

/// Switching on sets version and parameters, and the cursor only when the recipe was off.
pub async fn switched_on_and_off(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let first = row(store.save_version(version_of("orders", "one")).await.unwrap());
    store.save_version(version_of("orders", "two")).await.unwrap();
    let on = store.activate(first.id, Some(1), &json!({"region": "north"}), at(10)).await.unwrap().unwrap();
    assert_eq!((on.active_version, on.params.clone(), on.updated_at), (Some(1), json!({"region": "north"}), at(10)));
    assert!(on.revision > first.revision + 1);
    assert_eq!(cursor(&*store).await, Some(at(10)));
    let next = store.activate(first.id, Some(2), &json!({"region": "south"}), at(20)).await.unwrap().unwrap();
    assert_eq!((next.active_version, next.params), (Some(2), json!({"region": "south"})));
    assert_eq!(cursor(&*store).await, Some(at(10)), "another version does not lose a fire time");
    let off = store.activate(first.id, None, &json!({}), at(30)).await.unwrap().unwrap();
    assert_eq!((off.active_version, off.params.clone()), (None, json!({"region": "south"})), "parameters stay for the next time");
    assert_eq!(store.recipe("orders").await.unwrap(), Some(off));
    store.activate(first.id, Some(2), &json!({}), at(40)).await.unwrap().unwrap();
    assert_eq!(cursor(&*store).await, Some(at(40)), "what fell into the pause is not made up for");
}

/// A version or a recipe that does not exist.
pub async fn what_cannot_be_switched_on(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let id = recipe(&*store, "orders").await;
    let revision = store.catalogue_revision().await.unwrap();
    assert_eq!(store.activate(id, Some(2), &json!({}), at(1)).await.unwrap(), None);
    let nobody = RecipeId::new(at(1), [1; 10]);
    assert_eq!(store.activate(nobody, Some(1), &json!({}), at(1)).await.unwrap(), None);
    assert_eq!(store.activate(nobody, None, &json!({}), at(1)).await.unwrap(), None);
    assert_eq!(store.recipe_by_id(nobody).await.unwrap(), None);
    assert_eq!(store.catalogue_revision().await.unwrap(), revision);
}

/// Switched on only while the other recipes are what they were; across processes one of many gets it.
pub async fn switched_on_unless_others_moved(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    let seen = store.catalogue_revision().await.unwrap();
    let none = json!({});
    assert_eq!(store.activate_unless_moved(orders, 9, &none, seen, at(5)).await.unwrap(), Activated::Missing);
    assert_eq!(store.catalogue_revision().await.unwrap(), seen, "what did not happen changed nothing");
    let (one, two) = tokio::join!(
        store.activate_unless_moved(orders, 1, &none, seen, at(5)),
        other.activate_unless_moved(returns, 1, &none, seen, at(5))
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    let on = [&one, &two].into_iter().filter(|done| matches!(done, Activated::On(_))).count();
    assert!(on == 1 && [&one, &two].contains(&&Activated::Moved), "{one:?} {two:?}");
    let active = store.active_recipes().await.unwrap();
    assert_eq!(active.len(), 1, "nothing of the other is half applied");
    assert_eq!(active[0].schedule_cursor, Some(at(5)));
    let seen = store.catalogue_revision().await.unwrap();
    for id in [orders, returns] {
        if active[0].row.id != id {
            let done = other.activate_unless_moved(id, 1, &json!({"a": 1}), seen, at(6)).await.unwrap();
            assert!(matches!(&done, Activated::On(row) if row.params == json!({"a": 1})), "{done:?}");
        }
    }
    assert!(store.catalogue_revision().await.unwrap() > seen, "others look again");
}

/// Everything needed to run what is switched on.
pub async fn active_recipes_with_their_texts(bed: Arc<dyn Bed>) {
    let store = bed.store();
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    recipe(&*store, "never").await;
    store.save_version(version_of("orders", "newer")).await.unwrap();
    store.activate(returns, Some(1), &json!({}), at(5)).await.unwrap();
    store.activate(orders, Some(1), &json!({"a": [1]}), at(5)).await.unwrap();
    let active = bed.another().await.active_recipes().await.unwrap();
    assert_eq!(active.iter().map(|one| one.row.slug.as_str()).collect::<Vec<_>>(), ["orders", "returns"]);
    assert_eq!((active[0].text.as_str(), active[0].row.params.clone()), ("steps: []", json!({"a": [1]})));
    store.activate(returns, None, &json!({}), at(6)).await.unwrap();
    assert_eq!(store.active_recipes().await.unwrap().len(), 1);
}

/// Whatever changes recipes changes the number others watch.
pub async fn the_catalogue_changes(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let mut last = store.catalogue_revision().await.unwrap();
    let changed = async |last: &mut i64| {
        let now = other.catalogue_revision().await.unwrap();
        std::mem::replace(last, now) != now
    };
    assert!(!changed(&mut last).await);
    let id = recipe(&*store, "orders").await;
    assert!(changed(&mut last).await);
    store.save_version(version_of("orders", "steps: []")).await.unwrap();
    assert!(!changed(&mut last).await, "nothing was written");
    store.save_version(version_of("orders", "two")).await.unwrap();
    assert!(changed(&mut last).await);
    store.activate(id, Some(2), &json!({}), at(1)).await.unwrap();
    assert!(changed(&mut last).await);
    store.activate(id, None, &json!({}), at(2)).await.unwrap();
    assert!(changed(&mut last).await);
}

/// A schedule's cursor only moves forward, for its own recipe.
pub async fn a_schedule_never_goes_back(bed: Arc<dyn Bed>) {
    let (store, other) = (bed.store(), bed.another().await);
    let (orders, returns) = (recipe(&*store, "orders").await, recipe(&*store, "returns").await);
    for id in [orders, returns] {
        store.activate(id, Some(1), &json!({}), at(10)).await.unwrap();
    }
    store.advance_schedules(&[(orders, at(30))]).await.unwrap();
    assert_eq!(cursor(&*store).await, Some(at(30)));
    other.advance_schedules(&[(orders, at(20))]).await.unwrap();
    assert_eq!(cursor(&*store).await, Some(at(30)));
    store.advance_schedules(&[(RecipeId::new(at(1), [1; 10]), at(50))]).await.unwrap();
    let active = store.active_recipes().await.unwrap();
    assert_eq!((active[0].schedule_cursor, active[1].schedule_cursor), (Some(at(30)), Some(at(10))));
    store.advance_schedules(&[(returns, at(40)), (RecipeId::new(at(1), [1; 10]), at(50)), (orders, at(25))]).await.unwrap();
    store.advance_schedules(&[]).await.unwrap();
    let active = store.active_recipes().await.unwrap();
    assert_eq!((active[0].schedule_cursor, active[1].schedule_cursor), (Some(at(30)), Some(at(40))), "each by itself");
}

/// The list is sorted by slug, byte by byte, whatever the server's language.
pub async fn recipes_by_slug(bed: Arc<dyn Bed>) {
    let store = bed.store();
    for slug in ["b", "a-b", "ab", "a", "Z", "a_b"] {
        recipe(&*store, slug).await;
    }
    let list = store.recipes().await.unwrap();
    assert_eq!(list.iter().map(|row| row.slug.as_str()).collect::<Vec<_>>(), ["Z", "a", "a-b", "a_b", "ab", "b"]);
    assert_eq!(store.recipe("A").await.unwrap(), None);
}
