//! Laws of [`Queue`].

use std::sync::Arc;

use bytes::Bytes;
use tidemill_ports::{DELAY_SECONDS_MAX, DELIVERIES_MAX, Error, MESSAGE_BYTES_MAX, Message, QUEUE_BATCH_MAX, Queue};

/// A queue and a way to let seconds pass.
pub struct Subject {
    /// The queue.
    pub queue: Arc<dyn Queue>,
    /// Lets so many seconds pass.
    pub pass: Box<dyn Fn(u32) + Send + Sync>,
}

impl Subject {
    async fn send(&self, texts: &[&str], delay_seconds: u32) {
        let bodies = texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
        self.queue.send(bodies, delay_seconds).await.expect("a send");
    }

    async fn receive(&self, hide_seconds: u32) -> Vec<Message> {
        self.queue.receive(QUEUE_BATCH_MAX, hide_seconds).await.expect("a receive")
    }

    async fn bodies(&self, hide_seconds: u32) -> Vec<String> {
        let mut bodies: Vec<String> = self.receive(hide_seconds).await.iter().map(text).collect();
        bodies.sort();
        bodies
    }
}

fn text(message: &Message) -> String {
    String::from_utf8(message.body.to_vec()).expect("text")
}

/// While it is hidden nobody else gets it.
pub async fn a_sent_message_is_received_once_while_hidden(subject: &Subject) {
    assert_eq!(subject.bodies(60).await, Vec::<String>::new());
    subject.send(&["a", "b"], 0).await;
    assert_eq!(subject.bodies(60).await, ["a", "b"]);
    assert_eq!(subject.bodies(60).await, Vec::<String>::new());
}

/// What is not deleted comes back, not before its time.
pub async fn a_hidden_message_returns_after_its_time(subject: &Subject) {
    subject.send(&["a"], 0).await;
    assert_eq!(subject.bodies(60).await, ["a"]);
    (subject.pass)(59);
    assert_eq!(subject.bodies(60).await, Vec::<String>::new());
    (subject.pass)(1);
    assert_eq!(subject.bodies(60).await, ["a"]);
}

/// Deleted is gone; the others are not.
pub async fn a_deleted_message_never_returns(subject: &Subject) {
    subject.send(&["a", "b"], 0).await;
    let received = subject.receive(10).await;
    let receipts = received.iter().filter(|message| text(message) == "a").map(|message| message.receipt.clone());
    subject.queue.delete(receipts.collect()).await.expect("a delete");
    (subject.pass)(10);
    assert_eq!(subject.bodies(10).await, ["b"]);
}

/// Who was too slow does not delete what another one is working on.
pub async fn a_superseded_receipt_deletes_nothing(subject: &Subject) {
    subject.send(&["a"], 0).await;
    let first = subject.receive(10).await.remove(0);
    (subject.pass)(10);
    let second = subject.receive(10).await.remove(0);
    assert_ne!(first.receipt, second.receipt);
    subject.queue.delete(vec![first.receipt]).await.expect("a delete");
    (subject.pass)(10);
    let third = subject.receive(10).await.remove(0);
    subject.queue.delete(vec![third.receipt]).await.expect("a delete");
    (subject.pass)(10);
    assert_eq!(subject.bodies(10).await, Vec::<String>::new());
}

/// A delay hides from the beginning.
pub async fn a_delayed_message_stays_hidden_until_its_time(subject: &Subject) {
    subject.send(&["late"], 30).await;
    subject.send(&["now"], 0).await;
    assert_eq!(subject.bodies(600).await, ["now"]);
    (subject.pass)(29);
    assert_eq!(subject.bodies(600).await, Vec::<String>::new());
    (subject.pass)(1);
    assert_eq!(subject.bodies(600).await, ["late"]);
}

/// Each delivery says how many there were.
pub async fn deliveries_are_counted(subject: &Subject) {
    subject.send(&["a"], 0).await;
    for delivery in 1..=DELIVERIES_MAX {
        assert_eq!(subject.receive(5).await[0].deliveries, delivery);
        (subject.pass)(5);
    }
}

/// After its last delivery a message is set aside, and stays there.
pub async fn a_message_delivered_too_often_goes_to_the_dead_letters(subject: &Subject) {
    subject.send(&["bad"], 0).await;
    for _ in 0..DELIVERIES_MAX {
        assert_eq!(subject.bodies(5).await, ["bad"]);
        assert_eq!(subject.queue.dead_letters(10).await, Ok(Vec::new()));
        (subject.pass)(5);
    }
    subject.send(&["good"], 0).await;
    assert_eq!(subject.bodies(5).await, ["good"]);
    (subject.pass)(600);
    assert_eq!(subject.bodies(5).await, ["good"]);
    assert_eq!(subject.queue.dead_letters(10).await, Ok(vec![Bytes::from("bad")]));
    assert_eq!(subject.queue.dead_letters(0).await, Ok(Vec::new()));
}

/// No more than asked for, never more than a batch, and the rest stays.
pub async fn a_receive_is_limited(subject: &Subject) {
    for _ in 0..3 {
        subject.send(&["a", "b", "c", "d", "e"], 0).await;
    }
    assert_eq!(subject.queue.receive(0, 60).await, Ok(Vec::new()));
    assert_eq!(subject.queue.receive(2, 60).await.expect("a receive").len(), 2);
    assert_eq!(subject.queue.receive(100, 60).await.expect("a receive").len(), QUEUE_BATCH_MAX);
    assert_eq!(subject.queue.receive(10, 60).await.expect("a receive").len(), 3);
}

/// What names no delivery deletes nothing and is no error.
pub async fn receipts_of_nothing_are_ignored(subject: &Subject) {
    subject.send(&["a"], 0).await;
    let receipts = ["", "x", "1", "1-0", "1/0", "99-1", "99/1", "-"].map(str::to_owned);
    subject.queue.delete(receipts.to_vec()).await.expect("a delete");
    assert_eq!(subject.bodies(5).await, ["a"]);
}

/// Too many, too large, too late: nothing is sent.
pub async fn calls_beyond_the_limits_are_invalid(subject: &Subject) {
    let send = |count: usize, bytes: usize, delay: u32| subject.queue.send(vec![vec![0; bytes].into(); count], delay);
    assert!(matches!(send(QUEUE_BATCH_MAX + 1, 1, 0).await, Err(Error::Invalid(_))));
    assert!(matches!(send(1, MESSAGE_BYTES_MAX + 1, 0).await, Err(Error::Invalid(_))));
    assert!(matches!(send(1, 1, DELAY_SECONDS_MAX + 1).await, Err(Error::Invalid(_))));
    assert_eq!(subject.receive(5).await, []);
    assert_eq!(send(1, MESSAGE_BYTES_MAX, 0).await, Ok(()));
    assert_eq!(subject.receive(5).await[0].body.len(), MESSAGE_BYTES_MAX);
}
