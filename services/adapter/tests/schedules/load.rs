//! The load of a schedule: random messages to rooms, requests, broadcasts, joins and leaves; and a record of what was
//! accepted.

use std::cell::RefCell;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep;
use wsmesh_adapter::{
    Adapter, ClientId, Frame, Missing, Payload, RequestError, RequestOptions, RoomOptions, Scope, ServerName, Target,
};

use crate::faults::Plan;
use crate::server::{Cluster, Joined, Life, room};

/// Messages, joins and leaves per second.
const RATE: f64 = 9.0;
const ROOMS: usize = 3;

/// The receiver of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    Room(usize),
    Everyone,
    /// A request to a server, with the life that was running then.
    Server(Option<Life>),
}

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) to: To,
    pub(crate) from: Life,
    pub(crate) at: f64,
    /// Whether the adapter accepted it; `None` while it is still trying.
    pub(crate) accepted: Option<bool>,
}

/// The load, with everything that was sent.
pub(crate) struct Load {
    rate: f64,
    rng: RefCell<StdRng>,
    pub(crate) messages: std::rc::Rc<RefCell<Vec<Message>>>,
}

impl Load {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            rate: if plan.is_dense() { RATE * 3.0 } else { RATE },
            rng: RefCell::new(StdRng::seed_from_u64(plan.seed ^ 0x10ad)),
            messages: std::rc::Rc::default(),
        }
    }

    pub(crate) async fn run(&self, cluster: &Cluster, until: Duration) {
        while cluster.begun.elapsed() < until {
            let pause = -self.rng.borrow_mut().random_range(0.0001..1.0_f64).ln() / self.rate;
            sleep(Duration::from_secs_f64(pause)).await;
            self.act(cluster);
        }
    }

    fn act(&self, cluster: &Cluster) {
        let mut rng = self.rng.borrow_mut();
        let lives = {
            let mut lives = cluster.lives();
            lives.sort_by(|a, b| a.0.cmp(&b.0));
            lives
        };
        let Some((life, adapter)) = lives.choose(&mut *rng) else {
            return;
        };
        let number = rng.random_range(0..ROOMS);
        match rng.random_range(0.0..1.0) {
            draw if draw < 0.45 => self.send(cluster, life, adapter, To::Room(number)),
            draw if draw < 0.65 => {
                let others: Vec<_> = lives.iter().filter(|(other, _)| other != life).collect();
                if let Some((other, _)) = others.choose(&mut *rng) {
                    self.send(cluster, life, adapter, To::Server(Some(other.clone())));
                }
            }
            draw if draw < 0.8 => self.send(cluster, life, adapter, To::Everyone),
            draw if draw < 0.92 => join(cluster, life, adapter, number),
            _ => leave(cluster, life, adapter, number),
        }
    }

    fn send(&self, cluster: &Cluster, life: &Life, adapter: &Adapter, to: To) {
        let number = self.messages.borrow().len();
        self.messages.borrow_mut().push(Message {
            to: to.clone(),
            from: life.clone(),
            at: cluster.now(),
            accepted: None,
        });
        let (adapter, messages) = (adapter.clone(), self.messages.clone());
        tokio::task::spawn_local(async move {
            let frame = Frame::new(number.to_string());
            let taken = match to {
                To::Room(number) => adapter
                    .to_room(&room(number), frame, RoomOptions::default())
                    .await
                    .is_ok(),
                To::Everyone => adapter.to_everyone(frame, Scope::Cluster).await.is_ok(),
                To::Server(life) => {
                    let name = life.map(|(name, _)| name).unwrap_or_default();
                    // Whether a request that timed out was handled is not known.
                    messages.borrow_mut()[number].accepted = ask(&adapter, name, number).await;
                    return;
                }
            };
            messages.borrow_mut()[number].accepted = Some(taken);
        });
    }
}

/// How often a request that is repeated is sent at most.
const ATTEMPTS: usize = 3;

/// Whether a request is repeated with its idempotency key until it is answered.
pub(crate) fn is_repeated(number: usize) -> bool {
    number.is_multiple_of(2)
}

/// Asks a server; whether it must have handled that, if that is known.
async fn ask(adapter: &Adapter, name: String, number: usize) -> Option<bool> {
    let options = RequestOptions {
        key: is_repeated(number).then(|| number.to_string()),
        ..RequestOptions::default()
    };
    let mut accepted = Some(false);
    for _ in 0..if is_repeated(number) { ATTEMPTS } else { 1 } {
        let target = Target::Server(ServerName::new(name.clone()).expect("valid"));
        let payload = Payload::new(&number).expect("a number");
        match adapter.call(target, "ask", payload, options.clone()).await {
            Ok(_) => return Some(true),
            Err(RequestError::Missing {
                why: Missing::TimedOut, ..
            }) => accepted = None,
            Err(_) => {}
        }
    }
    accepted
}

fn client(life: &Life) -> ClientId {
    ClientId::new(format!("c-{}", life.0)).expect("valid")
}

fn join(cluster: &Cluster, life: &Life, adapter: &Adapter, number: usize) {
    let open = |join: &Joined| join.life == *life && join.room == number && join.until.is_infinite();
    if cluster.notes.borrow().joins.iter().any(open) {
        return;
    }
    let index = {
        let mut notes = cluster.notes.borrow_mut();
        notes.joins.push(Joined {
            life: life.clone(),
            room: number,
            called: cluster.now(),
            from: None,
            until: f64::INFINITY,
        });
        notes.joins.len() - 1
    };
    let (adapter, notes, client, begun) = (adapter.clone(), cluster.notes.clone(), client(life), cluster.begun);
    tokio::task::spawn_local(async move {
        // After a time-out the join is pending; calling it again resolves it when it is confirmed.
        while adapter.join(&client, room(number)).await.is_err() {
            if notes.borrow().joins[index].until.is_finite() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        notes.borrow_mut().joins[index].from = Some(begun.elapsed().as_secs_f64());
    });
}

fn leave(cluster: &Cluster, life: &Life, adapter: &Adapter, number: usize) {
    let now = cluster.now();
    let left = {
        let mut notes = cluster.notes.borrow_mut();
        let resolved = |join: &&mut Joined| {
            join.life == *life && join.room == number && join.until.is_infinite() && join.from.is_some()
        };
        notes
            .joins
            .iter_mut()
            .find(resolved)
            .map(|join| join.until = now)
            .is_some()
    };
    if left {
        let (adapter, client) = (adapter.clone(), client(life));
        tokio::task::spawn_local(async move { _ = adapter.leave(&client, &room(number)).await });
    }
}
