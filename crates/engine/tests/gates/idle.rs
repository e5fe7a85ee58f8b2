//! Sign-ins that a system ends when nobody uses them.

use std::{sync::Arc, time::Duration};

use connector::Secret;
use engine::Health;
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::World;

/// A token service: what it was asked, and whether it refuses.
#[derive(Default)]
struct Service {
    asked: Mutex<Vec<String>>,
    refuses: Mutex<bool>,
    /// It sends the same refresh token along with each answer.
    keeps: Mutex<bool>,
}

impl Service {
    async fn start() -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let service = Arc::new(Self::default());
        let serving = Arc::clone(&service);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&serving).answer(stream));
            }
        });
        (service, url)
    }

    /// One request on each connection. Access tokens last ten minutes, and each refresh token is good once.
    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !whole(&text) {
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
                _ => return,
            }
        }
        let form = text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
        let number = {
            let mut asked = self.asked.lock();
            asked.push(form);
            asked.len()
        };
        let refresh = if *self.keeps.lock() { 1 } else { number };
        let (status, body) = if *self.refuses.lock() {
            ("400 Bad Request", json!({ "error": "invalid_grant" }))
        } else {
            (
                "200 OK",
                json!({ "access_token": format!("access-{number}"), "refresh_token": format!("refresh-{refresh}"), "expires_in": 600 }),
            )
        };
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        // Whoever asked may be gone.
        drop(stream.write_all([head, body].concat().as_bytes()).await);
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

/// The head and as much of a body as it says.
fn whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0_usize)
}

async fn signs_in(world: &World) {
    let engine = &world.engines[0];
    let begun = engine.begin_sign_in("crm", "ann", None).await.unwrap();
    let state = begun.url.split("state=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    let pending = engine.take_sign_in(state, None).await.unwrap();
    engine.end_sign_in(&pending, &Secret::new("a code".to_owned())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_nobody_uses_is_renewed_by_one_process_until_it_is_refused() {
    let (service, url) = Service::start().await;
    let world = World::new(2, &[("crm", json!({ "tokens": url }))], &[]).await;
    let health = async || world.engines[1].health_of(&["crm"]).await.unwrap()[0].health;
    world.leap(Duration::from_secs(40 * 60)).await;
    assert_eq!(service.asked(), [""; 0], "nobody has signed in yet");
    signs_in(&world).await;
    world.leap(Duration::from_secs(70 * 60)).await;
    let asked = service.asked();
    assert!((3..=4).contains(&asked.len()), "once in half an hour or less, by one of both: {asked:?}");
    assert!(asked[0].starts_with("grant_type=authorization_code"), "{asked:?}");
    for (number, form) in asked.iter().enumerate().skip(1) {
        let wanted = format!("grant_type=refresh_token&refresh_token=refresh-{number}");
        assert!(form.starts_with(&wanted), "each is used once: {asked:?}");
    }
    assert_ne!(health().await, Health::NeedsSignIn);

    // Somebody took it back: a person must sign in, and nobody asks again before.
    *service.refuses.lock() = true;
    world.leap(Duration::from_secs(45 * 60)).await;
    assert_eq!((health().await, service.asked().len()), (Health::NeedsSignIn, asked.len() + 1));
    world.leap(Duration::from_secs(60 * 60)).await;
    assert_eq!(service.asked().len(), asked.len() + 1);
    *service.refuses.lock() = false;
    signs_in(&world).await;
    world.leap(Duration::from_secs(45 * 60)).await;
    assert!(service.asked().len() > asked.len() + 2, "it is kept alive again: {:?}", service.asked());
    assert_ne!(health().await, Health::NeedsSignIn);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_ends_however_much_it_is_used_is_told_of_in_its_last_seventh() {
    let (service, url) = Service::start().await;
    *service.keeps.lock() = true;
    let lasts = Duration::from_secs(7 * 3600);
    let world = World::new(2, &[("crm", json!({ "tokens": url, "lasts_s": lasts.as_secs() }))], &[]).await;
    let view = async || world.engines[1].health_of(&["crm"]).await.unwrap().remove(0);
    assert_eq!(view().await.sign_in_ends_at, None, "nobody has signed in yet");
    signs_in(&world).await;
    let ends = view().await.sign_in_ends_at.expect("it is known");
    assert_eq!(view().await.reason, "");
    world.leap(Duration::from_secs(5 * 3600)).await;
    assert!(service.asked().len() > 2, "it was renewed meanwhile: {:?}", service.asked());
    assert_eq!(view().await.reason, "", "two of its seven hours are left");
    world.leap(Duration::from_secs(70 * 60)).await;
    let soon = view().await;
    assert_eq!(soon.sign_in_ends_at, Some(ends), "the same token again makes it no younger");
    assert!(soon.reason.starts_with("Its sign-in ends on ") && soon.health != Health::NeedsSignIn, "{soon:?}");

    // Somebody signs in anew; a token that is replaced with each answer begins its days anew, too.
    *service.keeps.lock() = false;
    signs_in(&world).await;
    let anew = view().await;
    assert!(anew.sign_in_ends_at > Some(ends) && anew.reason.is_empty(), "{anew:?}");
    world.leap(Duration::from_secs(3600)).await;
    assert!(view().await.sign_in_ends_at > anew.sign_in_ends_at);
}

/// No recipe has found out yet: it is told all the same, until somebody signs in.
#[tokio::test(start_paused = true)]
async fn a_sign_in_that_has_ended_is_told_of_until_somebody_signs_in() {
    let (service, url) = Service::start().await;
    *service.keeps.lock() = true;
    let world = World::new(1, &[("crm", json!({ "tokens": url, "lasts_s": 4 * 3600 }))], &[]).await;
    let reason = async || world.engines[0].health_of(&["crm"]).await.unwrap().remove(0).reason;
    signs_in(&world).await;
    world.leap(Duration::from_secs(225 * 60)).await;
    assert!(reason().await.starts_with("Its sign-in ends on "), "{}", reason().await);
    world.leap(Duration::from_secs(75 * 60)).await;
    assert!(reason().await.starts_with("Its sign-in ended on "), "{}", reason().await);
    *service.keeps.lock() = false;
    signs_in(&world).await;
    assert_eq!(reason().await, "");
}
