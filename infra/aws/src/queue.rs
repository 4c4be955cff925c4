//! `Queue` on SQS: a standard queue, and the one its messages go to when they were delivered too often.
//!
//! Bodies are any bytes; SQS takes text, so they travel as Base64. The stack sets how often a message is delivered and
//! where it goes then.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tidemill_ports::{Error, Message, QUEUE_BATCH_MAX, Queue, limits};

use crate::error::{Call, mapped};

/// Bytes of all messages of one call (SQS's limit).
const SEND_BYTES_MAX: usize = 1024 * 1024;
/// Times messages are sent that were refused for a passing reason.
const SEND_ATTEMPTS_MAX: u32 = 4;

/// A queue of SQS.
pub struct SqsQueue {
    client: Client,
    url: String,
    dead_letters_url: String,
}

impl SqsQueue {
    /// The queue at `url`, whose dead letters lie in the one at `dead_letters_url`.
    pub fn new(client: Client, url: String, dead_letters_url: String) -> SqsQueue {
        SqsQueue { client, url, dead_letters_url }
    }

    /// Sends messages that fit into one call.
    async fn send_some(&self, bodies: &[String], delay_seconds: i32) -> Result<(), Error> {
        let mut left: Vec<usize> = (0..bodies.len()).collect();
        let mut why = String::new();
        for _ in 0..SEND_ATTEMPTS_MAX {
            let entries = left.iter().map(|at| {
                let entry = SendMessageBatchRequestEntry::builder().id(at.to_string()).message_body(&bodies[*at]);
                entry.delay_seconds(delay_seconds).build().map_err(|why| Error::Invalid(why.to_string()))
            });
            let entries = entries.collect::<Result<Vec<_>, Error>>()?;
            let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
            // Messages are delivered at least once anyway: sending one again is safe.
            let answer = sent.map_err(|error| mapped("SendMessageBatch", Call::Repeatable, error))?;
            left = answer.failed().iter().filter_map(|failed| failed.id().parse().ok()).collect();
            let Some(failed) = answer.failed().first() else { return Ok(()) };
            why = format!("SendMessageBatch: {}: {}", failed.code(), failed.message().unwrap_or_default());
            if failed.sender_fault() {
                return Err(Error::Invalid(why));
            }
        }
        Err(Error::Unavailable(why))
    }

    /// Makes a delivered message visible again in `seconds`, instead of when its time is up.
    ///
    /// # Errors
    /// The port's; the message then waits for its time.
    pub async fn release(&self, receipt: &str, seconds: u32) -> Result<(), Error> {
        let change = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        let sent = change.visibility_timeout(i32::try_from(seconds).unwrap_or(i32::MAX)).send().await;
        sent.map(|_| ()).map_err(|error| mapped("ChangeMessageVisibility", Call::Repeatable, error))
    }

    async fn take(&self, url: &str, limit: usize, hide_seconds: u32) -> Result<Vec<Message>, Error> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let ask = self.client.receive_message().queue_url(url);
        let ask = ask.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let ask = ask.max_number_of_messages(small(limit.min(QUEUE_BATCH_MAX)));
        let ask = ask.visibility_timeout(i32::try_from(hide_seconds).unwrap_or(i32::MAX));
        let answer = ask.send().await.map_err(|error| mapped("ReceiveMessage", Call::Repeatable, error))?;
        answer.messages().iter().map(message).collect()
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, bodies: Vec<Bytes>, delay_seconds: u32) -> Result<(), Error> {
        limits::messages(&bodies, delay_seconds)?;
        let delay_seconds = i32::try_from(delay_seconds).unwrap_or(i32::MAX);
        let bodies: Vec<String> = bodies.iter().map(encode).collect();
        let mut left = bodies.as_slice();
        while !left.is_empty() {
            let mut bytes = 0;
            let fits = left.iter().take_while(|body| {
                bytes += body.len();
                bytes <= SEND_BYTES_MAX
            });
            let (some, rest) = left.split_at(fits.count().max(1));
            self.send_some(some, delay_seconds).await?;
            left = rest;
        }
        Ok(())
    }

    async fn receive(&self, limit: usize, hide_seconds: u32) -> Result<Vec<Message>, Error> {
        self.take(&self.url, limit, hide_seconds).await
    }

    async fn delete(&self, receipts: Vec<String>) -> Result<(), Error> {
        for receipts in receipts.chunks(QUEUE_BATCH_MAX) {
            let entries = receipts.iter().enumerate().map(|(at, receipt)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string()).receipt_handle(receipt);
                entry.build().map_err(|why| Error::Invalid(why.to_string()))
            });
            let entries = entries.collect::<Result<Vec<_>, Error>>()?;
            let sent = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
            let answer = sent.map_err(|error| mapped("DeleteMessageBatch", Call::Repeatable, error))?;
            // A receipt that names nothing any more is fine; what the service could not do is not.
            if let Some(failed) = answer.failed().iter().find(|failed| !failed.sender_fault()) {
                let why = failed.message().unwrap_or_default();
                return Err(Error::Unavailable(format!("DeleteMessageBatch: {}: {why}", failed.code())));
            }
        }
        Ok(())
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<Bytes>, Error> {
        let messages = self.take(&self.dead_letters_url, limit, 0).await?;
        Ok(messages.into_iter().map(|message| message.body).collect())
    }
}

/// A body as SQS carries it.
pub fn encode(body: &Bytes) -> String {
    BASE64.encode(body)
}

/// A body as it was sent.
///
/// # Errors
/// [`Error::Invalid`] when somebody else sent it.
pub fn decode(body: &str) -> Result<Bytes, Error> {
    let bytes = BASE64.decode(body).map(Bytes::from);
    bytes.map_err(|why| Error::Invalid(format!("a message that is no Base64 was not sent by tidemill: {why}")))
}

fn message(received: &aws_sdk_sqs::types::Message) -> Result<Message, Error> {
    let attributes = received.attributes();
    let count = attributes.and_then(|attributes| attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    Ok(Message {
        body: decode(received.body().unwrap_or_default())?,
        receipt: received.receipt_handle().unwrap_or_default().to_owned(),
        deliveries: count.and_then(|count| count.parse().ok()).unwrap_or(1),
    })
}

fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
