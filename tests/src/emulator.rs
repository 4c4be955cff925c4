//! AWS on this machine: an emulator that somebody serves, and resources of a test's own in it.
//!
//! In: `TIDEMILL_EMULATOR` and `TIDEMILL_EMULATOR_CLOCK`, the two lines `tests/aws/emulator.py` prints. Out: ports over
//! empty tables, queues and buckets nobody else uses. Resources are made by plain HTTP, as any client would.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tidemill_aws::{Connection, Settings, Stores};

/// Counts the resources of this process, so that each has a name of its own.
static MADE: AtomicU32 = AtomicU32::new(0);
/// What is said of who asks; the emulator looks at the service in it.
const SCOPE: &str = "20260101/us-east-1";

/// An emulator.
#[derive(Clone, Debug)]
pub struct Emulator {
    endpoint: String,
    clock: String,
    http: reqwest::Client,
}

impl Emulator {
    /// The one the environment names.
    ///
    /// # Panics
    /// When it names none: `cargo ci --only aws` serves one.
    pub fn of_environment() -> Emulator {
        let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name}: see tests/aws/emulator.py"));
        let (endpoint, clock) = (variable("TIDEMILL_EMULATOR"), variable("TIDEMILL_EMULATOR_CLOCK"));
        Emulator { endpoint, clock, http: reqwest::Client::new() }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Puts its clock forward.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn pass(&self, seconds: u32) {
        let answer = self.http.get(format!("{}?seconds={seconds}", self.clock)).send().await;
        assert!(answer.expect("the emulator's clock answers").status().is_success());
    }

    /// One call of a JSON protocol.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn ask(&self, service: &str, target: &str, body: Value) -> Value {
        let call = self.http.post(&self.endpoint).header("x-amz-target", target);
        self.finish(service, call.header("content-type", "application/x-amz-json-1.0").body(body.to_string())).await
    }

    async fn finish(&self, service: &str, call: reqwest::RequestBuilder) -> Value {
        let credential = format!("test/{SCOPE}/{service}/aws4_request");
        let signed = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0");
        let answer = call.header("authorization", signed).send().await.expect("the emulator answers");
        let (status, text) = (answer.status(), answer.text().await.expect("the answer ends"));
        assert!(status.is_success(), "{service}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A connection to it.
    pub async fn connection(&self) -> Connection {
        Connection::to(&self.endpoint, "us-east-1", ("test", "test")).await
    }

    /// Tables, queues, a schedule group and a bucket of their own, all empty.
    ///
    /// # Panics
    /// When the emulator refuses.
    pub async fn settings(&self) -> Settings {
        let name = format!("t{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let (events_table, items_table) = (format!("{name}-events"), format!("{name}-items"));
        for (table, has_stream) in [(&events_table, true), (&items_table, false)] {
            let stream = if has_stream {
                json!({ "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" })
            } else {
                json!({ "StreamEnabled": false })
            };
            let attribute = |name: &str| json!({ "AttributeName": name, "AttributeType": "B" });
            let key = |name: &str, kind: &str| json!({ "AttributeName": name, "KeyType": kind });
            let table = json!({
                "TableName": table,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [attribute("p"), attribute("s")],
                "KeySchema": [key("p", "HASH"), key("s", "RANGE")],
                "StreamSpecification": stream,
            });
            self.ask("dynamodb", "DynamoDB_20120810.CreateTable", table).await;
        }
        let queue = |name: String, attributes: Value| async move {
            let body = json!({ "QueueName": name, "Attributes": attributes });
            let answer = self.ask("sqs", "AmazonSQS.CreateQueue", body).await;
            answer["QueueUrl"].as_str().expect("a queue has a URL").to_owned()
        };
        let dead_letters_url = queue(format!("{name}-dead"), json!({})).await;
        let redrive = json!({
            "deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:000000000000:{name}-dead"),
            "maxReceiveCount": tidemill_ports::DELIVERIES_MAX,
        });
        let requests_url = queue(format!("{name}-requests"), json!({ "RedrivePolicy": redrive.to_string() })).await;
        self.finish("scheduler", self.http.post(format!("{}/schedule-groups/{name}", self.endpoint)).body("{}")).await;
        self.finish("s3", self.http.put(format!("{}/{name}", self.endpoint))).await;
        let function = |name: &str| format!("arn:aws:lambda:us-east-1:000000000000:function:{name}");
        Settings {
            events_table,
            items_table,
            bucket: name.clone(),
            fast_bucket: None,
            requests_url,
            dead_letters_url,
            schedule_role_arn: "arn:aws:iam::000000000000:role/scheduler".to_owned(),
            dispatcher_arn: function(&format!("{name}-dispatcher")),
            upkeep_arn: function(&format!("{name}-upkeep")),
            schedule_group: name,
        }
    }

    /// A bucket of its own that is empty.
    ///
    /// # Panics
    /// When the emulator refuses.
    pub async fn bucket(&self, name: &str) -> String {
        let name = name.replace('*', &format!("t{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        self.finish("s3", self.http.put(format!("{}/{name}", self.endpoint))).await;
        name
    }

    /// Ports over resources of their own.
    ///
    /// # Panics
    /// When the emulator refuses.
    pub async fn stores(&self) -> Stores {
        let settings = self.settings().await;
        self.connection().await.stores(&settings).expect("the names are good")
    }
}
